"""Explanations: sums that are the score, against an oracle that knows no push, for every pooling and direction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, lstm_in_numpy, reviews, waves

from gatewise.errors import UsageError
from gatewise.tasks.classify.classifier import Classifier
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.recipe import train_series, train_texts

CONFIG = ClassifyConfig(**SMALL | {"epochs": 3})
TEXT = "The film was awful, zzz great and it had music"


def fitted(labels=None, **changes):
    texts, two = reviews(60)
    return train_texts(as_texts(texts, labels or two), replace(CONFIG, **changes), progress=None)


def logits(model, text):
    return model.logits([text])[0]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn+lstm", "gru+gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_pushes_and_bias_add_up_to_the_log_odds(cell, bidirectional, pooling):
    model = fitted(cell=cell, bidirectional=bidirectional, pooling=pooling, epochs=2)
    z = logits(model, TEXT)
    for target, sign in (("pos", 1), ("neg", -1)):
        found = explain(model, TEXT, target)
        assert found.score == pytest.approx(sign * (z[1] - z[0]), abs=1e-5)
        total = sum(found.push) + found.initial + found.bias
        assert abs(total - found.score) <= 1e-4 * max(1, abs(found.score))
        assert found.residual == pytest.approx(found.score - total, abs=1e-12)
        assert sum(found.held) == pytest.approx(1, abs=1e-5)
        assert min(found.held) >= 0
        assert found.initial == 0


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_held_and_push_are_the_double_sums_of_their_definitions(pooling):
    model = fitted(pooling=pooling)
    steps = lstm_in_numpy(model, TEXT)
    T = len(steps)
    a = np.eye(T)[-1] if pooling == "last" else np.full(T, 1 / T)
    weight = model.network.output.weight.detach().double().numpy()
    v = weight[1] - weight[0]
    push, mass = np.zeros(T), np.zeros(T)
    for s in range(T):
        wrote, left, read = steps[s]["i"] * steps[s]["g"], np.ones_like(v), np.zeros_like(v)
        for t in range(s, T):
            if t > s:
                left = left * steps[t]["f"]
            ratio = steps[t]["o"] * np.tanh(steps[t]["c"]) / steps[t]["c"]
            push[s] += (a[t] * v * ratio * left * wrote).sum()
            read += a[t] * left
        mass[s] = np.abs(read * wrote).sum()
    found = explain(model, TEXT, "pos")
    np.testing.assert_allclose(found.push, push, atol=1e-5)
    np.testing.assert_allclose(found.held, mass / mass.sum(), atol=1e-5)
    for gate in ("i", "f", "o"):
        np.testing.assert_allclose(found.gates[gate], [step[gate].mean() for step in steps], atol=1e-5)
    forget = np.array([step["f"] for step in steps])
    np.testing.assert_allclose(found.half_lives, np.log(0.5) / np.log(forget).mean(0), rtol=1e-4)


def test_with_three_labels_the_score_is_the_logit_against_the_mean_of_the_others():
    model = fitted(labels=["neg", "pos", "so"] * 20)
    z = logits(model, TEXT)
    for k, label in enumerate(model.labels):
        found = explain(model, TEXT, label)
        assert found.score == pytest.approx(z[k] - (z.sum() - z[k]) / 2, abs=1e-5)
        assert abs(found.residual) <= 1e-4
        assert found.probability == found.probabilities[label]
    best = explain(model, TEXT)
    assert best.label == best.predicted == model.labels[int(z.argmax())]
    p = np.exp(z / model.temperature)
    np.testing.assert_allclose(list(best.probabilities.values()), p / p.sum(), rtol=1e-5)


def test_words_spans_and_unknown_words_are_those_of_the_text():
    found = explain(fitted(), TEXT)
    assert found.words == ["The", "film", "was", "awful", ",", "zzz", "great", "and", "it", "had", "music"]
    assert [TEXT[a:b] for a, b in found.spans] == found.words
    assert [word for word, new in zip(found.words, found.unknown, strict=True) if new] == [",", "zzz"]
    assert not any(found.cut)
    assert found.notes == []


@pytest.mark.parametrize("where", ["head", "tail", "middle"])
def test_words_that_were_cut_are_listed_with_nothing_held(where):
    model = fitted(max_length=6, truncate=where)
    found = explain(model, " ".join(f"w{k}" for k in range(9)))
    stays = {"head": range(6), "tail": range(3, 9), "middle": [0, 1, 5, 6, 7, 8]}[where]
    assert [k for k, cut in enumerate(found.cut) if not cut] == list(stays)
    for k, cut in enumerate(found.cut):
        assert (found.held[k] == 0) == cut
        assert (found.gates["f"][k] == 0) == cut
    assert abs(found.residual) <= 1e-4


def test_the_word_that_decides_moves_the_answer_its_way():
    model = train_texts(as_texts(*reviews(400)), ClassifyConfig(**SMALL), progress=None)
    for word, sign in (("great", 1), ("awful", -1)):
        found = explain(model, f"the film was {word} and it had music", "pos")
        assert np.sign(found.score) == sign
        assert found.words[int(np.argmax(sign * np.array(found.push)))] == word


def test_an_empty_text_is_the_bias_alone():
    found = explain(fitted(), "")
    assert (found.words, found.push, found.held, found.half_lives) == ([], [], [], [])
    assert found.score == pytest.approx(found.bias, abs=1e-6)


def test_a_plain_rnn_on_top_is_refused_by_name():
    for cell in ("rnn", "lstm+rnn"):
        with pytest.raises(UsageError, match="is a plain RNN, which keeps no sum of what it wrote"):
            explain(fitted(cell=cell, epochs=1), TEXT)


def test_an_unknown_label_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="there is no label 'good'; the labels are neg, pos"):
        explain(fitted(epochs=1), TEXT, "good")


def test_series_are_explained_step_by_step():
    model = train_series(as_series(*waves()), replace(CONFIG, pooling="last"), progress=None)
    found = explain(model, waves(1)[0][0])
    assert found.words == [str(k) for k in range(1, len(found.push) + 1)]
    assert abs(found.residual) <= 1e-4


def test_notes_say_what_a_reader_must_know():
    notes = explain(fitted(cell="gru+lstm", bidirectional=True, bigrams=9, epochs=1), TEXT).notes
    assert len(notes) == 3
    assert "several" in notes[0] and "from the end" in notes[1] and "pairs" in notes[2]


def test_json_html_and_the_notebook_show_the_same_explanation():
    texts, labels = reviews(60)
    found = Classifier(**SMALL | {"epochs": 2}).fit(texts, labels).explain("a <script>alert(1)</script> film")
    values = json.loads(found.to_json())
    assert values["push"] == found.push and values["words"] == found.words
    infinite = replace(found, half_lives=[float("inf"), 1.5])
    assert json.loads(infinite.to_json())["half_lives"] == [None, 1.5]
    page = found.to_html()
    assert "<script" not in page
    assert found._repr_html_() == page


def test_explaining_leaves_the_model_as_it_was():
    model = fitted(dropout=0.5)
    before = logits(model, TEXT)
    torch.manual_seed(1)
    explain(model, TEXT)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    assert (logits(model, TEXT) == before).all()
    assert not model.network.training
