"""The two reports of an explanation, on one whose numbers are written out here."""

import base64
import hashlib
import io
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from gatewise.reports import print_explanation, render_html
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


def printed(explanation, **console) -> str:
    stream = io.StringIO()
    print_explanation(explanation, Console(file=stream, width=100, **console))
    return stream.getvalue()


class Page(HTMLParser):
    """Every tag with its attributes, and all text outside the style sheet."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.in_style, self.open = "", False, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_style = tag == "style"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.in_style = False
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.in_style:
            self.text += data


def test_plain_output_says_every_number_and_has_no_control_characters():
    text = printed(Written())
    assert "\x1b" not in text
    assert "answer: positive (53.1%)" in text
    assert "positive 53.1%, negative 46.9%" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "never", "50.0%", "+0.750", "0.00", "0.90", "0.25"] in lines
    assert ["2", "<script>alert(1)</script>", "10.0%", "-1.500", "0.50", "0.80", "0.13", "unknown"] in lines
    assert ["4", "tail", "0.0%", "+0.000", "not", "read"] in lines


def test_plain_output_carries_the_sum_and_the_cautions():
    text = printed(Written(notes=("read in the wrong order",)))
    expected = (
        "- 0.5000 (pushes of all words) + 0.1250 (initial state) + 0.5000 (bias) = 0.1250 (score: log odds)"
    )
    assert expected in text
    assert "residual 3.0e-08" in text
    assert "caution: 1 of 4 words were cut away and not read" in text
    assert "caution: 1 of 4 words are unknown to the model: <script>alert(1)</script>" in text
    assert "caution: read in the wrong order" in text


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
    assert "the 60 of 90 words that moved the answer most" in text
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
    assert "<h1>positive (53.1%)</h1>" in render_html(empty)


def test_a_label_that_was_not_chosen_is_not_called_the_answer():
    other = replace(
        Written(), predicted="negative", probabilities={"negative": 0.5, "positive": 0.3, "new": 0.2}
    )
    text = printed(other)
    assert "explained: positive (53.1%)" in text and "answer:" not in text.replace("model's answer", "")
    assert "caution: the model's answer is negative; this explains positive, which it did not choose" in text
    assert "(score: logit over the mean of the others)" in text
    assert "why not this answer" in render_html(other)


def test_html_keeps_a_script_as_text():
    evil = "<script>alert(1)</script>"
    page = Page(
        render_html(replace(Written(), label=evil, predicted=evil, notes=(evil,), probabilities={evil: 1.0}))
    )
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(evil) >= 6  # heading, all labels, caution, note, word, table, legend, whole text


def test_html_attributes_cannot_be_broken_out_of():
    html = render_html(replace(Written(), words=('"><img src=x onerror=alert(1)>', "'b", "c", "d")))
    page = Page(html)
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_html_needs_nothing_else():
    html = render_html(Written())
    page = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert not any({"href", "src", "style"} & set(attributes) for _, attributes in page.tags)
    assert page.open == []
    assert not re.search(r"https?:|//|url\(|@import|@font-face", html)


def test_the_content_security_policy_allows_this_style_sheet_alone():
    html = render_html(Written())
    (policy,) = (a["content"] for tag, a in Page(html).tags if "http-equiv" in a)
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style and policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]


def test_html_shows_the_numbers():
    page = Page(render_html(Written()))
    assert "\nnever <script>alert(1)</script>dull tail\n" in page.text
    flat = " ".join(page.text.split())
    assert "positive (53.1%)" in flat
    cells = re.findall(r'<th scope="row" class="left">([^<]*)</th><td>([^<]*)</td>', render_html(Written()))
    assert cells[-4:] == [
        ("pushes of all words", "−0.5000"),
        ("initial state", "+0.1250"),
        ("bias", "+0.5000"),
        ("score: log odds", "+0.1250"),
    ]
    assert "What the sum leaves open (residual): 3.0e-08." in flat
    assert "10.0%" in flat and "−1.500" in flat


def test_html_draws_held_push_and_gates():
    page = Page(render_html(Written()))
    spans = [(a["class"] or "").split() for tag, a in page.tags if tag == "span"][:4]
    assert spans == [
        ["w", "h10", "for", "p5"],
        ["w", "h2", "against", "p10", "unknown"],
        ["w", "h8", "for", "p2"],
        ["w", "h0", "against", "p0", "cut"],
    ]
    bars = [float(a["height"] or 0) for tag, a in page.tags if tag == "rect" and a["class"] == "gate"]
    assert bars == [0.0, 20.0, 40.0, 36.0, 32.0, 28.0, 10.0, 5.0, 40.0]  # 40 high; the cut word has none


def test_html_does_not_change_from_call_to_call():
    assert render_html(Written()) == render_html(Written())
