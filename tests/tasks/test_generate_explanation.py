"""Explanations of language models: sums that come to the margin of an ordinary call, places, targets, pages."""

import json
import math

import numpy as np
import pytest
import torch
from language_cases import SMALL, WrittenOut, language_model

from gatewise.errors import UsageError
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.explanation import MOST_TOKENS, explain_text
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.vocabulary import train_vocabulary

TEXT = "ab <b>\n"


def fitted_model(kind="characters", **options) -> FittedLanguageModel:
    vocabulary = train_vocabulary(TEXT.encode() * 2, kind, 300)
    config = GenerateConfig(**SMALL | options)
    return FittedLanguageModel(config, language_model(vocabulary.size, **options), vocabulary)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("options", [{}, {"target": ">"}, {"at": 4}, {"at": 4, "target": "\n"}], ids=str)
def test_pushes_add_up_to_the_margin_of_an_ordinary_call(cell, options):
    fitted = fitted_model(cell=cell)
    found = explain_text(fitted, TEXT, **options)
    read = TEXT[: options.get("at", len(TEXT) + 1) - 1]
    with torch.no_grad():
        logits = fitted.network(fitted.tokens(read)[:, None])[0][-1, 0]
    p = torch.cat([torch.zeros(1), logits[1:].softmax(0)])  # 0 is never written
    token, rival = (int(fitted.tokens(one)[0]) for one in (found.target, found.rival))
    assert found.tokens == list(read) and found.text == read and found.unit == "character"
    assert found.target == options.get("target", TEXT[3] if "at" in options else found.candidates[0].token)
    assert found.margin == pytest.approx(float(logits[token] - logits[rival]), abs=1e-12)
    assert found.margin == pytest.approx(math.log(found.probability / found.rival_probability), abs=1e-9)
    assert math.fsum(found.push) + found.initial + found.bias == pytest.approx(found.margin, abs=1e-12)
    assert found.probability == pytest.approx(float(p[token]), abs=1e-12)
    others = [k for k in range(len(p)) if k != token]
    assert rival == max(others, key=lambda k: float(p[k]))
    assert len(found.held_by_layer) == 2 and found.held == found.held_by_layer[-1]
    assert sum(found.held) == pytest.approx(1) and min(found.held) >= 0


def test_held_is_the_share_of_what_each_step_wrote_by_the_equations():
    fitted = fitted_model(num_layers=1)
    cell = WrittenOut(fitted.network)
    (ih, hh, b_ih, b_hh), h, c = cell.layers[0], np.zeros(6), np.zeros(6)
    kept = []  # what is left of each write
    for token in fitted.tokens(TEXT).tolist():
        gates = ih @ cell.embedding[token] + b_ih + hh @ h + b_hh
        i, f, g, o = np.split(gates, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        kept = [part * f for part in kept] + [i * np.tanh(g)]
        c = f * c + kept[-1]
        h = o * np.tanh(c)
    sizes = np.abs(kept).sum(1)
    assert explain_text(fitted, TEXT).held == pytest.approx((sizes / sizes.sum()).tolist(), abs=1e-12)


def test_a_plain_rnn_has_neither_held_nor_push():
    found = explain_text(fitted_model(cell="rnn"), TEXT)
    assert found.push == found.held == [] and found.residual is None
    assert found.notes == ["a plain RNN mixes its whole memory at every step: it has neither held nor push"]
    assert "A plain RNN mixes" in found.to_html()


@pytest.mark.parametrize(
    ("kind", "unit"), [("characters", "character"), ("bytes", "byte"), ("bpe", "token"), ("words", "word")]
)
def test_the_page_shows_every_token_and_escapes_it(kind, unit):
    found = explain_text(fitted_model(kind), TEXT, command="gatewise explain RUN TEXT")
    html = found.to_html()
    assert found.unit == unit and f"Every {unit} in numbers" in html and "<b>" + TEXT[-2] not in html
    assert "gatewise explain RUN TEXT" in html and "its strongest rival" in html
    assert html.count('role="option"') == len(found.tokens)
    if unit == "character":
        for shown in ("␣", "⏎", "&lt;"):
            assert f">{shown}</span>" in html
    if kind in ("characters", "words"):  # bytes and pieces of characters have no other sign
        assert "\ufffd" not in html.split("<script")[0]
    assert json.loads(found.to_json())["push"] == found.push


def test_dropped_weights_are_whole_in_an_explanation():
    found = explain_text(fitted_model(weight_drop=0.5), TEXT)
    assert math.fsum(found.push) + found.initial + found.bias == pytest.approx(found.margin, abs=1e-12)
    assert "What it kept" in found.to_html()


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("", {}, "the text has 0 characters; an explanation takes 1 to 1,000"),
        ("a" * (MOST_TOKENS + 1), {}, "the text has 1,001 characters; an explanation takes 1 to 1,000"),
        ("ab", {"at": 3}, "at is 3; the text has 2 characters, and what is read before goes from 2 on"),
        ("ab", {"at": 1}, "at is 1; the text has 2 characters"),
        ("ab", {"target": "ab"}, r"the target 'ab' is 2 tokens \(characters\); one is needed"),
        ("ab", {"target": "é"}, "the target holds 'é', of which the model has learnt nothing"),
        ("aé", {}, "the text holds 'é', of which the model has learnt nothing"),
    ],
)
def test_what_cannot_be_explained(text, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        explain_text(fitted_model(), text, **options)
