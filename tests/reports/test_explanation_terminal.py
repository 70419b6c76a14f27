"""An explanation in the terminal, on one whose numbers are written out here."""

import io
import re
from dataclasses import dataclass, field, replace

import pytest
from rich.console import Console

from gatewise.reports import print_explanation
from gatewise.reports.page import Check
from gatewise.reports.terminal import sparkline
from gatewise.reports.view import printable, word_rows


@dataclass(frozen=True)
class Written:
    """An explanation with its numbers written by hand: 0.75 - 1.5 + 0.25 + 0 (pushes), 0.125 initial, 0.5 bias."""

    text: str = "never <script>alert(1)</script>dull tail"
    words: tuple[str, ...] = ("never", "<script>alert(1)</script>", "dull", "tail")
    spans: tuple[tuple[int, int], ...] = ((0, 5), (6, 31), (31, 35), (36, 40))
    held: tuple[float, ...] = (0.5, 0.1, 0.4, 0.0)
    push: tuple[float, ...] = (0.75, -1.5, 0.25, 0.0)
    unknown: tuple[bool, ...] = (False, True, False, False)
    cut: tuple[bool, ...] = (False, False, False, True)
    gates: dict = field(
        default_factory=lambda: {
            "i": [0.0, 0.5, 1.0, 0.0],
            "f": [0.9, 0.8, 0.7, 0.0],
            "g": [-0.5, 0.5, 0.1, 0.0],
            "o": [0.25, 0.126, 0.999, 0.0],
        }
    )
    label: str = "positive"
    predicted: str = "positive"
    probability: float = 0.53125
    probabilities: dict = field(default_factory=lambda: {"negative": 0.46875, "positive": 0.53125})
    score: float = 0.125
    bias: float = 0.5
    initial: float = 0.125
    residual: float = 3e-8
    notes: tuple[str, ...] = ()
    kept: tuple[int, ...] = ()
    check: Check | None = None
    bare: float | None = None
    occlusion: tuple[float, ...] = ()


def printed(explanation, **console) -> str:
    stream = io.StringIO()
    print_explanation(explanation, Console(file=stream, width=100, **console))
    return stream.getvalue()


def test_plain_output_says_every_number_and_has_no_control_characters():
    text = printed(Written())
    assert "\x1b" not in text
    assert "answer: positive (53.1%)" in text
    assert "positive 53.1%, negative 46.9%" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "never", "50.0%", "+0.750", "0.00", "0.90", "0.25"] in lines
    assert ["2", "<script>alert(1)</script>", "10.0%", "-1.500", "0.50", "0.80", "0.13", "unknown"] in lines
    assert ["4", "tail", "0.0%", "+0.000", "not", "read"] in lines


CHECK = Check(kept=2, spread_out=False, without=0.25, only=0.5, random=[0.5, 0.6, 0.4], holds=True)
KEPT = {"kept": (0, 2), "check": CHECK, "bare": 0.125, "occlusion": (0.5, -1.25, 0.0, 0.0)}


def test_the_first_lines_say_what_was_kept_and_whether_it_holds_up():
    lines = printed(replace(Written(), **KEPT)).splitlines()
    assert lines[0].startswith("answer: positive (53.1%)")
    assert lines[1] == "It kept 2 of 3 words: never, dull."  # the fourth was not read
    assert lines[2] == (
        "Does it hold up? these words only 50.0%, without them 25.0%, "
        "without 2 random words 50.0% (40.0% to 60.0% in 3 draws): it does."
    )
    assert lines[3].startswith("caution: 1 of 4 words were cut away")
    rows = [line.split() for line in lines]
    assert ["1", "never", "50.0%", "+0.750", "+0.500", "0.00", "0.90", "0.25", "kept"] in rows
    text = printed(Written())
    assert "It kept" not in text and "hold up" not in text and "occlusion" not in text


def test_many_kept_words_are_not_all_listed():
    n = 30
    many = replace(
        Written(),
        words=tuple(f"w{k}" for k in range(n)),
        spans=(),
        held=(1 / n,) * n,
        push=(0.1,) * n,
        unknown=(False,) * n,
        cut=(False,) * n,
        gates={},
        kept=tuple(range(14)),
        check=replace(CHECK, kept=14),
    )
    assert "It kept 14 of 30 steps: w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, …\n" in printed(many)


@pytest.mark.parametrize(
    "check, bare, sentence",
    [
        (replace(CHECK, spread_out=True), 0.1, "Spread out: it needs 2 of 3 words for its answer."),
        (
            Check(0, True, 0.5, 0.1, [], False),
            0.1,
            "Spread out: no set of words that speak for positive keeps it alone.\n"
            "caution: 1 of 4 words were cut away and not read\n",
        ),
        (
            replace(CHECK, random=[0.2, 0.6, 0.25, 0.4], holds=False),
            0.1,
            "caution: leaving out the 2 words it kept lowers the probability more than 2 of the 4 random draws do, "
            "and it takes 95%, so what it kept is not to be read as the reason for the answer",
        ),
        (
            replace(CHECK, holds=False),
            0.1,
            "caution: leaving out the 2 words it kept does not lower the probability, so",
        ),
        (
            replace(CHECK, random=[], holds=False),
            0.1,
            "caution: the 2 words it kept are all there is, and nothing else can be left out to compare, so",
        ),
        (CHECK, 0.5, "caution: with every word left out the model still gives positive 50.0%"),
        (
            replace(CHECK, without=0.5),
            0.1,
            "caution: without the kept words the model still gives positive 50.0%",
        ),
    ],
)
def test_what_does_not_hold_up_is_a_caution(check, bare, sentence):
    text = printed(replace(Written(), **KEPT | {"check": check, "bare": bare}))
    assert sentence in text
    assert ("it does not." in text) == (check.kept > 0 and not check.holds)
    assert ("caution: no set of words" in text) == (check.kept == 0)


def test_only_an_answer_is_said_not_to_need_its_words():
    other = replace(Written(), **KEPT | {"bare": 0.9}, label="negative", probability=0.469)
    assert "hardly any" in printed(replace(other, predicted="negative"))
    assert "hardly any" not in printed(replace(other, predicted="positive"))


def test_unknown_words_are_named_once_and_more_of_them_only_where_there_are_more():
    words = tuple(["tee", "hee"] * 6)
    many = replace(
        Written(), words=words, spans=(), held=(), push=(), gates={}, unknown=(True,) * 12, cut=(False,) * 12
    )
    assert "caution: 12 of 12 steps are unknown to the model: tee, hee\n" in printed(many)


def test_cautions_are_silent_where_all_is_well():
    assert printed(replace(Written(), **KEPT)).count("caution:") == 2  # cut and unknown words


def test_a_plain_rnn_has_a_table_of_occlusion_and_no_sum():
    rnn = replace(Written(), **KEPT, held=(), push=(), gates={}, initial=None, residual=None)
    for console in ({}, {"force_terminal": True, "color_system": "truecolor"}):
        text = printed(rnn, **console)
        assert "held" not in text and "gates" not in text and "residual" not in text and "nan" not in text
        rows = [line.split() for line in text.splitlines()]
        assert ["2", "<script>alert(1)</script>", "-1.250", "unknown"] in rows


def test_plain_output_carries_the_sum_and_the_cautions():
    text = printed(Written(notes=("read in the wrong order",)))
    expected = (
        "- 0.5000 (pushes of all words) + 0.1250 (initial state) + 0.5000 (bias) = 0.1250 (score: log odds)"
    )
    assert expected in text
    assert "residual 3.0e-08" in text
    assert "caution: 1 of 4 words were cut away and not read" in text
    assert "caution: 1 of 4 words are unknown to the model: <script>alert(1)</script>" in text
    assert "note: read in the wrong order" in text


def test_gates_are_rows_of_blocks_on_one_scale_and_contents_are_left_out():
    text = printed(Written())
    assert re.search(r"input i  ▁▅█ *$", text, re.M)
    assert re.search(r"forget f  █▇▆ *$", text, re.M)
    assert re.search(r"output o  ▃▂█ *$", text, re.M)
    assert " g " not in text


def test_sparkline_heights():
    assert sparkline([0.0, 0.124, 0.125, 0.5, 0.875, 1.0, float("nan")]) == "▁▁▂▅██ "


def test_colour_marks_held_by_ground_and_push_by_colour_and_sign():
    text = printed(Written(), force_terminal=True, color_system="truecolor")
    assert "48;2;160;172;188mnever⁺" in text  # the most held word has the darkest ground
    assert "38;2;138;54;0;48;2;236;238;242m<script>alert(1)</script>⁻" in text  # a fifth of that ground
    bare = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert "never⁺ <script>alert(1)</script>⁻dull⁺ tail" in bare  # the blanks of the text, no others
    assert "⁺" not in printed(Written())


def test_no_color_in_the_environment_gives_the_plain_text(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(Written(), force_terminal=True, color_system="truecolor")
    assert "⁺" not in text and "38;2" not in text
    assert "+0.750" in text


def test_a_word_cannot_steer_the_terminal():
    nasty = replace(
        Written(), words=("a\x1b[2J", "b\rc", "d\ne", "[bold]f[/bold]"), notes=("\x1b]0;title\x07",)
    )
    text = printed(nasty)
    assert "\x1b" not in text and "\r" not in text and "\x07" not in text
    assert "[bold]f[/bold]" in text
    assert printable("a\x1b\n\u202eb ñ 日") == "a\ufffd\ufffd\ufffdb ñ 日"


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "\U0001f468\u200d\U0001f469"])
def test_joiners_within_a_word_stay(text):
    assert printable(text) == text


def test_a_long_text_shows_the_words_that_moved_the_answer_most():
    n = 90
    long = replace(
        Written(),
        words=tuple(f"w{k}" for k in range(n)),
        spans=(),
        held=(1 / n,) * n,
        push=tuple(k / 100 for k in range(n)),
        unknown=(False,) * n,
        cut=(False,) * n,
        gates={"i": [0.5] * n, "f": [0.5] * n, "o": [0.5] * n},
    )
    text = printed(long)
    assert "the 60 of 90 steps that moved the answer most" in text
    assert " w29 " not in text and " w30 " in text and " w89 " in text


def test_shade_and_strength_are_relative_to_the_largest():
    rows = word_rows(Written())
    assert [row.shade for row in rows] == pytest.approx([1.0, 0.2, 0.8, 0.0])
    assert [row.strength for row in rows] == pytest.approx([0.5, 1.0, 1 / 6, 0.0])


def test_an_explanation_without_words_can_be_shown():
    empty = replace(
        Written(), text="", words=(), spans=(), held=(), push=(), unknown=(), cut=(), gates={"i": []}
    )
    assert "0.0000 (pushes of all words)" in printed(empty)


def test_a_label_that_was_not_chosen_is_not_called_the_answer():
    other = replace(
        Written(), predicted="negative", probabilities={"negative": 0.5, "positive": 0.3, "new": 0.2}
    )
    text = printed(other)
    assert "explained: positive (53.1%)" in text and "answer:" not in text.replace("model's answer", "")
    assert "caution: the model's answer is negative; this explains positive, which it did not choose" in text
    assert "(score: logit over the mean of the others)" in text
