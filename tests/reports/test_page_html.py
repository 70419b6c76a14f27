"""The page's file: what stands in it without a browser, its policy, its numbers, its sentences."""

import base64
import dataclasses
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import page_cases
import pytest

from gatewise.reports import bars, captions, charts, payload, word_marks
from gatewise.reports.html import render
from gatewise.reports.page import Answer, Check, Curve, FlowCurve, Page, Quality, Word

SECTIONS = ["answer", "kept", "check", "belt", "gates", "step", "flow", "quality", "limits", "experts"]


class Elements(HTMLParser):
    """Start tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style") and self.inside in ("script", "style"):
            self.raw.append((*self.tags[-1], data))
        else:
            self.words += data

    def handle_endtag(self, tag):
        self.inside = ""

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]

    def json(self, name: str):
        return next(json.loads(data) for _, attributes, data in self.raw if attributes.get("id") == name)


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest.fixture(scope="module")
def review() -> str:
    return render(page_cases.review())


def test_every_section_is_there_in_its_order(review):
    ids = Elements(review).ids()
    assert [name for name in ids if name in SECTIONS] == SECTIONS


def test_the_policy_allows_the_own_style_and_script_and_nothing_else(review):
    found = Elements(review)
    policy = next(a["content"] for tag, a in found.tags if "http-equiv" in a)
    allowed = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    assert allowed.pop("default-src") == allowed.pop("base-uri") == allowed.pop("form-action") == "'none'"
    hashes = {
        tag: f"'sha256-{base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()}'"
        for tag, attributes, data in found.raw
        if attributes.get("type") is None
    }
    assert allowed == {"style-src": hashes["style"], "script-src": hashes["script"]}


def test_nothing_is_loaded_and_no_style_or_handler_stands_in_an_element(review):
    for tag, attributes in Elements(review).tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
        assert not [
            name for name in attributes if name in ("style", "src", "href") or name.startswith("on")
        ], tag


def test_the_script_never_makes_elements_from_text(review):
    script = next(
        data for tag, attributes, data in Elements(review).raw if tag == "script" and not attributes
    )
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert name not in script


def test_the_script_reads_the_numbers_of_the_page_exactly(review):
    page, found = page_cases.review(), Elements(review)
    values = found.json("page-values")
    assert values["words"] == page_cases.REVIEW
    np.testing.assert_array_equal(floats(values["held"]), np.float32([word.held for word in page.words]))
    for k, layer in enumerate(page.layers):
        shown = found.json(f"layer-values-{k}")
        for name, gate in layer.gates.items():
            np.testing.assert_array_equal(floats(shown["gates"][name]), gate.ravel())
        np.testing.assert_array_equal(floats(shown["memory"]), layer.memory.ravel())
        assert layer.belt is not None
        np.testing.assert_array_equal(floats(shown["belt"]), layer.belt.ravel())
        assert (shown["steps"], shown["units"]) == layer.memory.shape


def test_sizes_of_the_file():
    assert len(render(page_cases.review()).encode()) < 300_000
    assert len(render(page_cases.large()).encode()) < 6_000_000


def test_a_page_of_a_recording_alone_leaves_out_what_it_does_not_have():
    ids = Elements(render(page_cases.trace_only())).ids()
    assert [name for name in ids if name in SECTIONS] == [
        "answer", "kept", "belt", "gates", "step", "limits", "experts",
    ]  # fmt: skip


def test_a_page_without_layers_or_words_is_still_a_page():
    found = Elements(render(Page("empty", "nothing here", "step", [], [])))
    assert "nothing here" in found.words and "belt" not in found.ids()


def test_a_plain_rnn_says_why_it_has_no_belt():
    found = Elements(render(page_cases.review("rnn_tanh")))
    assert "A plain RNN has no conveyor belt." in found.words
    assert [a["data-gate"] for _, a in found.tags if a.get("class") == "plot strip"] == ["h", "h"]


@pytest.mark.parametrize(
    ("cell", "gates", "boxes"),
    [
        ("lstm", ["f", "i", "o"], ["f", "i", "g", "before", "kept", "added", "memory", "o", "tanh", "shown"]),
        ("gru", ["z", "r"], ["r", "z", "n", "before", "kept", "added", "memory"]),
        ("gru_reset_before", ["z", "r"], ["r", "z", "n", "before", "kept", "added", "memory"]),
        ("rnn_relu", ["h"], ["before", "memory"]),
    ],
)
def test_each_cell_has_its_gates_and_its_boxes(cell, gates, boxes):
    page = dataclasses.replace(page_cases.review(cell), layers=[page_cases.layer(30, 4, cell=cell)])
    tags = Elements(render(page)).tags
    assert [a["data-gate"] for _, a in tags if a.get("class") == "plot strip"] == gates
    assert [a["data-bar"] for _, a in tags if "data-bar" in a] == boxes


def test_a_projection_is_named():
    page = dataclasses.replace(page_cases.review(), layers=[page_cases.layer(30, 32, outputs=8)])
    assert "from 32 units to 8 outputs" in Elements(render(page)).words


def test_a_long_sequence_without_a_belt_is_not_called_an_rnn():
    shown = dataclasses.replace(page_cases.layer(30, 4), belt=None)
    words = Elements(render(dataclasses.replace(page_cases.review(), layers=[shown]))).words
    assert "too long for its belt" in words and "plain RNN has no conveyor belt" not in words


def test_a_label_that_the_model_did_not_choose_is_called_so():
    answer = Answer("negative", "positive", 0.04, {"negative": 0.04, "positive": 0.96})
    page = dataclasses.replace(page_cases.review(), answer=answer)
    assert "An answer that the model did not give" in Elements(render(page)).words


def test_json_in_the_page_cannot_end_its_element():
    text = "</script><!--&\u2028\u2029\x00\ud800"
    made = payload.to_json({"a": text, "b": [float("nan"), np.float32(1.5), np.arange(2)]})
    assert not set(made) & set("<>&\u2028\u2029\x00")
    assert json.loads(made) == {"a": text, "b": [None, 1.5, [0, 1]]}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "keep"), [("lstm", "f"), ("gru", "z")])
def test_what_is_left_of_a_write_is_the_product_of_the_gates_after_it(cell, keep, reverse):
    layer = page_cases.layer(7, 3, cell=cell, reverse=reverse)
    gate = layer.gates[keep].astype(np.float64)
    expected = []
    for s in range(7):
        later = range(s) if reverse else range(s + 1, 7)
        expected.append(sum(math.prod(gate[r, j] for r in later) for j in range(3)) / 3)
    found = payload.retained(layer)
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_size_of_a_write_is_a_length_over_the_units():
    layer = page_cases.layer(2, 2)
    gates = {"i": [[1, 0.5], [0.5, 0]], "g": [[0.6, 1.6], [-1, 1]], "f": [[1, 1]] * 2, "o": [[1, 1]] * 2}
    layer = dataclasses.replace(layer, gates={k: np.float32(v) for k, v in gates.items()})
    np.testing.assert_allclose(payload.write_sizes(layer), [1.0, 0.5], rtol=1e-6)


def test_the_page_opens_at_the_word_that_pushes_most():
    words = [Word("a", push=0.1, held=0.9), Word("b", push=0.5), Word("c", push=-2.0)]
    assert payload.starting_word(Page("", "", "word", words, [])) == 1
    held = [Word("a", held=0.2), Word("b", held=0.7), Word("c", held=0.1)]
    assert payload.starting_word(Page("", "", "word", held, [])) == 1
    assert payload.starting_word(Page("", "", "word", [Word("a"), Word("b")], [])) == 1


def test_marks_of_words_are_shares_of_the_largest():
    marks = word_marks.word_marks(
        [
            Word("big", held=0.4, push=2.0, kept=True),
            Word("half", held=0.2, push=-1.0, unknown=True),
            Word("small", held=0.0, push=0.1),
            Word("lost", cut=True),
        ]
    )
    assert [mark.classes for mark in marks] == [
        "w held-10 push-5", "w held-5 pull-2 unknown", "w held-0", "w cut",
    ]  # fmt: skip
    assert marks[1].label == "half, held 20%, push −1.000, unknown"
    assert marks[3].label == "lost, not read"


def test_sentence_on_what_was_kept():
    words = [*[Word(str(k)) for k in range(24)], Word("x", cut=True)]
    page = Page("", "", "word", words, [])
    assert captions.kept_sentence(page) == ""

    def said(kept, spread_out):
        check = Check(kept, spread_out, 0.4, 0.9, [], True)
        return captions.kept_sentence(dataclasses.replace(page, check=check))

    assert said(4, False) == "It kept 4 of 24 words."
    assert said(19, True) == "Spread out: it needs 19 of 24 words for its answer."
    assert said(0, True) == "Spread out: no small part of its 24 words carries the answer alone."


def test_the_text_keeps_its_blanks_and_its_end():
    words = [Word("so", "\t"), Word("it", "\u00a0"), Word("goes", "\r\n")]
    page = dataclasses.replace(page_cases.review(), words=words, layers=[], tail=" <tail>\t")
    (text,) = re.findall(r'<div class="words.*?>(.*?)</div>', render(page), re.DOTALL)
    assert html.unescape(re.sub("<[^>]*>", "", text)).rstrip("\n") == " so it  goes <tail> "


def test_verdict_follows_the_check():
    assert captions.verdict(page_cases.check(4, holds=True), "word").startswith("It holds up.")
    failed = Check(4, False, 0.41, 0.94, [0.3, 0.5, 0.41, 0.6], False)  # two draws end above 0.41
    assert captions.verdict(failed, "word").startswith("It does not hold up: ")
    assert "more than 2 of the 4 random draws do, and it takes 95%" in captions.verdict(failed, "word")
    assert "nothing stands or falls" in captions.verdict(page_cases.check(0, spread_out=True), "word")


def test_sentences_on_gradients_count_what_the_curves_say():
    flows = [
        FlowCurve("RNN", [2.0, 0.5, 0.019, 0.001], None),
        FlowCurve("LSTM", [1.0, 0.9, 0.8, 0.5], [0.5, 0.4, 0.3, 0.2]),
        FlowCurve("GRU", [1.0, 0.9, 0.8, 0.5], [1.0, 1.0, 1.0, 1.0]),
        FlowCurve("short", [1.0], None),
    ]
    assert captions.flow_sentences(flows, "word") == [
        "RNN: 2 words back the gradient has fallen below 1% of its first size.",
        "LSTM: 3 words back the gradient still has 50% of its first size; "
        "at the far end the highway alone has 40% the size of the whole.",
        "GRU: 3 words back the gradient still has 50% of its first size; "
        "at the far end the highway alone has 2.0 times the size of the whole.",
    ]


def test_gradients_stand_on_a_logarithmic_axis():
    chart = charts.flow_chart([FlowCurve("a", [1.0, 0.1, 0.01], [1.0, 0.001, 0.0])], "word")
    assert chart is not None
    assert [tick.label for tick in chart.y_ticks] == ["1", "10⁻¹", "10⁻²", "10⁻³"]
    lines = {line.name: line for line in chart.lines}
    rows = [tuple(map(float, point.split(","))) for point in lines["a"].points.split()]
    step = (chart.bottom - chart.top) / 3
    middle = (chart.left + chart.right) / 2
    np.testing.assert_allclose(
        rows,
        [(chart.left, chart.top), (middle, chart.top + step), (chart.right, chart.top + 2 * step)],
        atol=0.06,
    )
    assert len(lines["a, highway"].points.split()) == 2, "zero has no place on the axis"
    assert lines["a, highway"].dashed and not lines["a"].dashed
    assert charts.flow_chart([FlowCurve("flat", [0.0, 0.0], None)], "word") is None


def test_labels_of_lines_do_not_meet():
    flows = [FlowCurve(str(k), [1.0, 0.5 + k / 1000], None) for k in range(6)]
    chart = charts.flow_chart(flows, "word")
    assert chart is not None
    heights = sorted(line.label_y for line in chart.lines)
    assert min(np.diff(heights)) >= charts.LABEL_GAP - 1e-9
    assert heights[0] >= chart.top and heights[-1] <= chart.bottom


def test_curves_with_the_same_last_word_share_a_chart():
    curves = [
        Curve("training loss", [1, 0.5]),
        Curve("accuracy", [0.5, 0.9]),
        Curve("validation loss", [1, 0.7]),
    ]
    made = charts.curve_charts(curves)
    assert [[line.name for line in chart.lines] for chart in made] == [
        ["validation loss", "training loss"],
        ["accuracy"],
    ]
    assert charts.curve_charts([Curve("loss", [math.nan])]) == []


def test_half_lives_fall_into_bins_that_double():
    found = bars.half_life_bars(
        np.float32([0.5, 1.5, 1.9, 4.0, 7.9, math.inf, math.nan]), np.float32([0.1, 1.0])
    )
    assert [(bar.label, bar.after, bar.before) for bar in found] == [
        ("under 1", 1, 1), ("1 to 2", 2, 1), ("2 to 4", 0, 0), ("4 to 8", 2, 0), ("8 and more", 1, 0),
    ]  # fmt: skip
    assert bars.half_life_bars(np.float32([math.nan]), None) == []


def test_bars_of_the_check():
    page = dataclasses.replace(
        page_cases.review(), check=Check(3, False, 0.25, 0.9, [0.5, 0.7, math.nan], True)
    )
    assert page.check is not None
    found = bars.check_tracks(page, page.check)
    assert [(bar.name, bar.text) for bar in found] == [
        ("all words", "96%"),
        ("without the 3 kept", "25%"),
        ("without 3 random words", "60% (50% to 70%)"),
        ("the 3 kept only", "90%"),
    ]
    assert found[2].value == pytest.approx(60)


def test_the_models_own_accuracy_stands_above_the_baselines():
    quality = Quality("test", [("Accuracy", "91.2%")], baselines=[("majority", 0.5)])
    assert [(bar.name, bar.value) for bar in bars.baseline_tracks(quality)] == [
        ("this model", pytest.approx(91.2)),
        ("majority", 50),
    ]
    assert len(bars.baseline_tracks(Quality("test", [("accuracy", "unknown")], baselines=[("m", 0.5)]))) == 1


def test_the_table_has_a_row_a_word_with_the_numbers_of_its_step():
    page = dataclasses.replace(
        page_cases.review(),
        words=[Word("cut", cut=True), Word("a", held=0.25, push=-1.5, occlusion=0.5), Word("b")],
        layers=[page_cases.layer(2, 3, positions=np.array([1, 2]))],
    )
    rows = word_marks.word_rows(page)
    sizes = payload.write_sizes(page.layers[0])
    assert sizes is not None
    assert (rows[0].written, rows[0].held, rows[0].push) == ("", "", "")
    assert (rows[1].held, rows[1].push, rows[1].occlusion) == ("25%", "−1.5000", "+0.5000")
    assert [row.written for row in rows[1:]] == [f"{size:.4f}" for size in sizes]
    assert rows[2].retained == "1.0000", "nothing is lost of what the last step wrote"


def test_shares_near_the_ends_are_not_rounded_onto_them():
    assert [captions.share(v) for v in (0, 0.0004, 0.004, 0.05, 0.999, 0.9999, 1, math.nan)] == [
        "0%", "under 0.1%", "0.4%", "5%", "99.9%", "over 99.9%", "100%", "unknown",
    ]  # fmt: skip


def test_numbers_of_the_page_are_no_markup(review):
    assert not re.search(r"\{\{|\}\}|\{%|nan\b", Elements(review).words)
