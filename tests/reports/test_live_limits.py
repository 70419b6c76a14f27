"""Which pages run the model by themselves, and what the others say of it."""

import json

import numpy as np
import pytest
from live_cases import TEXT, fitted, tokenizer_of

from gatewise.data.scaler import Scaler
from gatewise.errors import UsageError
from gatewise.tasks.classify import live as live_of_a_run
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import SeriesEncoder
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.model import SequenceClassifier


def test_a_page_runs_small_models_only_unless_it_is_asked(monkeypatch):
    found = explain(fitted(), TEXT, evidence=False)
    live = found.page().live
    assert live is not None and found.inside is not None
    size = live.size
    assert size == 4 * sum(parameter.numel() for parameter in found.inside.fitted.network.parameters())
    assert found.page(live=False).live is None and found.page(live=False).limits == found.page().limits
    monkeypatch.setattr(live_of_a_run, "MOST_BYTES", size)
    assert found.page().live is not None
    monkeypatch.setattr(live_of_a_run, "MOST_BYTES", size - 1)
    small = found.page()
    assert small.live is None
    (said,) = [limit for limit in small.limits if "does not run the model" in limit]
    assert f"its weights take {size / 1e6:.1f} MB" in said and f"{(size - 1) / 1e6:g} MB at most" in said
    assert found.page(live=True).live is not None
    assert "live-values" not in found.to_html() and "live-values" in found.to_html(live=True)


def test_a_notebook_holds_no_model():
    assert "live-values" not in explain(fitted(), TEXT, evidence=False)._repr_html_()


def test_a_model_that_the_script_cannot_run_is_left_out_with_the_reason(monkeypatch):
    lacking = fitted("bpe")
    monkeypatch.setattr(tokenizer_of(lacking), "byte_tokens", lambda: [None, *range(255)])
    found = explain(lacking, TEXT, evidence=False)
    assert found.page().live is None
    assert any(limit.endswith("its tokenizer lacks 1 of the 256 bytes.") for limit in found.page().limits)
    with pytest.raises(UsageError, match="its tokenizer lacks 1 of the 256 bytes"):
        found.page(live=True)


def test_numbers_are_not_typed():
    config = ClassifyConfig(id="id", time="t", label="y", features=("a", "b"), hidden_size=4, device="cpu")
    encoder = SeriesEncoder(Scaler(np.zeros(2), np.ones(2)), config.max_length, config.truncate, ["a", "b"])
    model = FittedClassifier(
        config, SequenceClassifier(config, 2, features=2).eval(), encoder, ["up", "down"]
    )
    found = explain(model, np.array([[0.0, 1.0], [2.0, 0.5]]), evidence=False)
    assert found.page().live is None and not any("does not run" in limit for limit in found.page().limits)
    with pytest.raises(UsageError, match="it reads numeric sequences, and what is typed is a text"):
        found.to_html(live=True)


def test_the_page_holds_the_model_once_and_plain_pages_hold_none():
    html = explain(fitted(), TEXT, evidence=False).to_html()
    (values,) = [part.split("</script>")[0] for part in html.split('id="live-values">')[1:]]
    assert json.loads(values)["labels"] == ["neg", "pos"]
    assert html.count("<script") == html.count("</script>")
