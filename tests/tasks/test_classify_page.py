"""The page of an explanation: every number where it belongs, and nothing lost or made up."""

import io
import json
import re
from dataclasses import fields, replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, lstm_in_numpy, reviews, waves
from rich.console import Console

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.reports import print_explanation
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.recipe import train_series, train_texts
from gatewise.training.config import rule

CONFIG = ClassifyConfig(**SMALL | {"epochs": 3})
TEXT = "The film was\tawful, zzz great and it had  music"


def fitted(data=None, **changes):
    options = {"progress": None, "command": "gatewise train classify x"}
    return train_texts(data or as_texts(*reviews(60)), replace(CONFIG, **changes), **options)


def test_words_carry_their_numbers_and_the_spaces_of_the_text():
    text = TEXT + " \n"
    found = explain(fitted(), text)
    page = found.page()
    assert "".join(word.space + word.text for word in page.words) + page.tail == text
    for name in ("held", "push", "occlusion", "unknown", "cut"):
        assert [getattr(word, name) for word in page.words] == getattr(found, name)
    assert [at for at, word in enumerate(page.words) if word.kept] == found.kept
    assert page.unit == "word" and page.check == found.check
    assert page.answer.label == found.label and page.answer.probability == found.probability
    assert sum(value for _, value in page.terms[:-1]) + page.residual == pytest.approx(
        page.terms[-1][1], abs=1e-9
    )
    assert page.download == found.to_dict()


def test_the_layer_that_is_read_shows_the_networks_own_numbers():
    model = fitted(pooling="last")
    steps = lstm_in_numpy(model, TEXT)
    (view,) = explain(model, TEXT).page().layers
    assert (view.name, view.cell, view.reverse) == ("lstm, layer 0", "lstm", False)
    for gate in "ifgo":
        np.testing.assert_allclose(view.gates[gate], [step[gate] for step in steps], atol=1e-5)
    np.testing.assert_allclose(view.memory, [step["c"] for step in steps], atol=1e-5)
    assert view.reading.tolist() == [0] * (len(steps) - 1) + [1]
    np.testing.assert_allclose(
        view.half_lives_before, model.metrics["half_lives"]["before"]["layer 0"], rtol=1e-5
    )


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell, layers", [("gru", 2), ("lstm", 2), ("gru+lstm", 1)])
def test_all_layers_and_directions_are_there_the_one_that_is_read_first(pooling, cell, layers):
    model = fitted(cell=cell, num_layers=layers, bidirectional=True, pooling=pooling, epochs=1)
    found = explain(model, TEXT)
    views = found.page().layers
    top, bottom = cell.split("+")[-1], cell.split("+")[0]
    names = [
        f"{top}, layer 1",
        f"{top}, layer 1, reverse",
        f"{bottom}, layer 0, reverse",
        f"{bottom}, layer 0",
    ]
    assert [view.name for view in views] == names
    assert [view.reverse for view in views] == [False, True, True, False]
    np.testing.assert_allclose(views[0].push + views[1].push, found.push, atol=1e-6)
    np.testing.assert_allclose((views[0].edge + views[1].edge) / 2, found.held, atol=1e-6)
    for view in views[:2]:
        assert view.edge.sum() == pytest.approx(1, abs=1e-5) and view.reading.sum() == pytest.approx(
            1, abs=1e-5
        )
        assert view.half_lives_before.shape == (12,)
    for view in views[2:]:
        assert view.edge is None and view.reading is None and view.push is None
        assert view.belt is not None and view.half_lives_before is not None
        assert view.residual <= 1e-5


def test_cut_words_are_on_the_page_but_not_in_the_layer():
    (view,) = (
        page := explain(fitted(max_length=6, truncate="middle"), " ".join(map(str, range(9)))).page()
    ).layers
    assert view.positions.tolist() == [0, 1, 5, 6, 7, 8] and view.memory.shape == (6, 12)
    assert [at for at, word in enumerate(page.words) if word.cut] == [2, 3, 4]
    assert "3 of 9 words were cut away and not read" in page.cautions


def test_a_page_of_a_plain_rnn_has_its_check_and_no_sum():
    page = explain(fitted(cell="rnn"), TEXT).page()
    assert all(np.isnan(word.held) and np.isnan(word.push) for word in page.words)
    assert all(np.isfinite(word.occlusion) for word in page.words)
    (view,) = page.layers
    assert (view.belt, view.edge, view.push, view.half_lives_before) == (None, None, None, None)
    assert page.terms == [] and page.check is not None
    assert not any(limit.startswith("Held and push") for limit in page.limits)


def test_quality_is_that_of_the_run():
    texts, labels = reviews(60)
    model = fitted(as_texts(texts + texts[1::2], labels + labels[1::2]))
    model.metrics["test"] = {"examples": 40, "accuracy": 0.875}
    quality, validation = explain(model, TEXT).page().quality, model.metrics["validation"]
    assert quality.part == "validation part, 9 examples"
    assert quality.figures[0] == ("accuracy", f"{validation['accuracy']:.4f}")
    assert ("accuracy on a test set of 40", "0.8750") in quality.figures
    assert quality.confusion == validation["confusion"] and quality.labels == ["neg", "pos"]
    assert sum(n for _, _, n in quality.calibration) == 9
    assert dict(quality.baselines) == model.metrics["baselines"]
    curves = {curve.name: curve.values for curve in quality.curves}
    assert curves["training loss"] == [row["loss"] for row in model.history]
    assert curves["validation accuracy"] == [row["validation_accuracy"] for row in model.history]
    assert quality.training[0] == "It learned from 81 examples of reviews.csv: neg 27, pos 54."
    assert any("they flatter" in sentence for sentence in quality.training)


def test_facts_name_what_is_needed_to_do_it_again():
    model = fitted(seed=4)
    facts = dict(explain(model, TEXT, command="gatewise explain r 'x'").page().facts)
    assert facts["command"] == "gatewise explain r 'x'"
    assert facts["trained by"] == "gatewise train classify x"
    assert facts["seed"] == "4" and facts["temperature"] == f"{model.temperature:.4f}"
    assert facts["SHA-256 of the data"] == "0" * 64
    for item in fields(model.config):
        assert f"{item.name} = {getattr(model.config, item.name)!r}" in facts[f"options: {rule(item).group}"]
    for name in ("gatewise", "torch", "numpy"):
        assert f"{name} " in facts["versions of this page"] and f"{name} " in facts["versions at training"]
    lives = model.metrics["half_lives"]
    before, after = (np.median(lives[when]["layer 0"]) for when in ("before", "after"))
    assert facts["median half-life, layer 0"] == (
        f"{before:.1f} steps before training, {after:.1f} after, over 6 examples of the validation part"
    )


def test_runs_of_older_versions_have_a_page_with_less_on_it(tmp_path):
    model = fitted()
    model.save(tmp_path / "run")
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["baselines"], metrics["half_lives"], metrics["validation"]["calibration"]
    path.write_text(json.dumps(metrics))
    found = explain(load_fitted(tmp_path / "run"), TEXT)
    page = found.page()
    assert page.layers[0].half_lives_before is None
    assert (page.quality.baselines, page.quality.calibration) == ([], [])
    assert page.cautions == explain(model, TEXT).page().cautions
    assert found == explain(model, TEXT)
    bare = replace(model, metrics={}, history=[])
    page = explain(bare, TEXT).page()
    assert page.quality is None and dict(page.facts)["seed"] == "0"
    no_validation = explain(fitted(validation=0.0), TEXT).page().quality
    assert no_validation.part == "nothing was held out" and no_validation.figures == []


@pytest.mark.parametrize(
    "nonsense",
    [
        {"validation": {"examples": "many"}, "half_lives": [], "data": 3},
        {"validation": {}, "half_lives": {"before": {"layer 0": ["x"]}}, "versions": "new"},
        {"validation": 7, "half_lives": {"before": 1, "after": {"layer 0": []}, "examples": 1, "part": ""}},
    ],
)
def test_metrics_that_hold_nonsense_are_said_and_left_out(nonsense):
    model = fitted()
    model.metrics = nonsense
    page = explain(model, TEXT).page()
    assert sum("metrics.json has no readable" in caution for caution in page.cautions) >= 2
    assert page.layers[0].half_lives_before is None and dict(page.facts)["seed"] == "0"
    model.metrics = {"half_lives": {"before": {"layer 0": [1.0, 2.0]}}}  # of another size
    assert explain(model, TEXT).page().layers[0].half_lives_before is None


def test_a_numeric_sequence_has_times_and_variables_in_their_own_units():
    model = train_series(as_series(*waves()), replace(CONFIG, pooling="mean", max_length=7), progress=None)
    values = waves(1)[0][0][:9]
    found = explain(model, values, times=[2.5 * k for k in range(len(values))])
    page = found.page()
    assert (page.unit, page.tail) == ("step", "")
    assert [word.text for word in page.words[:3]] == ["0", "2.5", "5"]
    assert page.variables.names == ["a", "b"]
    np.testing.assert_array_equal(page.variables.values, values)
    assert np.isnan(page.variables.values).any()
    push = page.variables.push
    assert (push[np.array(found.cut)] == 0).all() and found.cut.count(True) == len(values) - 7
    assert np.abs(found.push - push.sum(1)).max() == pytest.approx(page.variables.residual, rel=1e-4)
    assert any("training mean has none" in limit for limit in page.limits)
    assert any("giving its values the training mean" in limit for limit in page.limits)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_variable_that_the_network_does_not_see_has_no_push(bidirectional):
    config = replace(CONFIG, bidirectional=bidirectional)
    model = train_series(as_series(*waves()), config, progress=None)
    with torch.no_grad():
        for name, weight in model.network.recurrent.named_parameters():
            if name.startswith("weight_ih"):
                weight[:, 1] = 0
    push = explain(model, waves(1)[0][0]).page().variables.push
    assert (push[:, 1] == 0).all() and (push[:, 0] != 0).any()
    # At the training mean, which is 0 after scaling, gradient × input is 0.
    mean = np.tile(model.encoder.scaler.mean, (5, 1))
    assert (explain(model, mean).page().variables.push == 0).all()


def test_deeper_models_and_plain_rnns_do_not_divide_their_push():
    for cell in ("lstm+gru", "rnn"):
        model = train_series(as_series(*waves()), replace(CONFIG, cell=cell, epochs=1), progress=None)
        variables = explain(model, waves(1)[0][0]).page().variables
        assert variables.push is None and variables.values.shape == (len(waves(1)[0][0]), 2)


def test_an_explanation_that_was_put_together_by_hand_has_no_page():
    found = replace(explain(fitted(epochs=1), TEXT), inside=None)
    with pytest.raises(UsageError, match="does not come from explain"):
        found.page()


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }}",
    "{% raw %}",
    "<!--",
    "-->",
    "]]>",
    "&lt;b&gt;",
    "&#x3c;b&#x3e;",
    "</style>",
    "</title>",
    "<iframe srcdoc='<b>'>",
    "\u202egnp.exe",
    "a\x00b",
    "a\x1b[2J",
    "[bold]x[/bold]",
    "\\u003cb\\u003e",
    "${7*7}",
    "%s%n",
    "../../etc/passwd",
    "'; DROP TABLE x; --",
    "\u2028\u2029",
    "\ufeff\u200b",
    "<b>é日\U0001f600</b>",
    "=1+1",
    "<a href=//x>",
    "@import url(//x)",
    "<math><mtext></math>",
]


class Elements(HTMLParser):
    """Names of all elements, and of all their attributes."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


@cache
def own_scripts(live):
    """Script elements of a harmless page, which runs the model or not."""
    return Elements(explain(fitted(epochs=1), TEXT).to_html(live)).tags.count("script")


def harmless(html, live=True):
    found = Elements(html)
    assert found.tags.count("script") == own_scripts(live)
    assert not {"img", "iframe", "math", "mtext", "link", "base", "object"} & set(found.tags)
    assert not any(name.startswith("on") or name in ("src", "srcdoc") for name in found.attributes)


@pytest.fixture(scope="module")
def hostile():
    """A model whose labels, words and file names are hostile."""
    texts = [f"a film {payload}" for payload in HOSTILE for _ in range(2)]
    data = as_texts(texts, [payload for payload in HOSTILE for _ in range(2)], "".join(HOSTILE))
    return fitted(data, epochs=1, validation=0.5)


def test_hostile_texts_stay_text_in_json_terminal_and_page(hostile):
    assert len(HOSTILE) >= 30
    text = " ".join(HOSTILE)
    for payload in HOSTILE:
        found = explain(hostile, text, payload, command=payload, evidence=False)
        values = json.loads(found.to_json())
        assert values["label"] == payload and values["text"] == text and payload in values["probabilities"]
        stream = io.StringIO()
        print_explanation(found, Console(file=stream, width=100))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2028\u2029]", stream.getvalue())
        page = found.page()
        assert page.answer.label == payload == dict(page.facts)["command"]
    harmless(explain(hostile, text, HOSTILE[1], command=text).to_html())


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_page_about_a_hostile_label_has_its_own_elements_alone(hostile, payload):
    harmless(explain(hostile, f"a film {payload}", payload, command=payload, evidence=False).to_html())


def test_hostile_column_names_stay_text():
    values, labels = waves(30)
    data = replace(as_series(values, labels), features=["<script>alert(1)</script>", "</script>{{ 1 }}"])
    model = train_series(data, replace(CONFIG, epochs=1), progress=None)
    found = explain(model, values[0], times=["<img src=x>"] * len(values[0]))
    assert found.page().variables.names == data.features
    assert found.words[0] == "<img src=x>"
    harmless(found.to_html(), live=False)


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    texts, labels = reviews(60)
    found = gw.Classifier(**SMALL | {"epochs": 1}).fit(texts, labels).explain("a great film")
    shown = found._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and "sandbox=" in shown
    assert "<script" not in shown
