"""Explanations: sums that are the score, against an oracle that knows no push, for every pooling and direction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, lstm_in_numpy, reviews, waves

from gatewise.errors import UsageError
from gatewise.tasks.classify import explanation
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
    assert (found.kept, found.check, found.occlusion) == ([], None, [])
    assert (found.page().layers, found.page().flows) == ([], [])
    assert found.score == pytest.approx(found.bias, abs=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm+rnn"])
def test_a_plain_rnn_on_top_has_no_sum_and_is_ranked_by_occlusion(cell):
    model = train_texts(as_texts(*reviews(200)), replace(CONFIG, cell=cell, epochs=16), progress=None)
    found = explain(model, "the film was great and it had music")
    assert (found.held, found.push, found.gates, found.half_lives) == ([], [], {}, [])
    assert (found.initial, found.residual) == (None, None)
    z = logits(model, "the film was great and it had music")
    assert found.score == pytest.approx(abs(z[1] - z[0]), abs=1e-5)
    assert found.words[int(np.argmax(found.occlusion))] == "great"
    strongest = np.argsort(-np.array(found.occlusion), kind="stable")[: found.check.kept]
    assert found.kept == sorted(strongest.tolist()) and found.kept
    assert any("plain RNN" in note and "ranked by occlusion" in note for note in found.notes)
    assert json.loads(found.to_json())["push"] == []


def test_an_unknown_label_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="there is no label 'good'; the labels are neg, pos"):
        explain(fitted(epochs=1), TEXT, "good")


def test_series_are_explained_step_by_step():
    model = train_series(as_series(*waves()), replace(CONFIG, pooling="last"), progress=None)
    values = waves(1)[0][0]
    found = explain(model, values)
    assert found.words == [str(k) for k in range(1, len(found.push) + 1)]
    assert abs(found.residual) <= 1e-4
    times = explain(model, values, times=[0.5 * k for k in range(len(values))], evidence=False)
    assert times.words[:3] == ["0", "0.5", "1"]
    with pytest.raises(UsageError, match="times has 2 names"):
        explain(model, values, times=[1, 2])


def test_notes_say_what_a_reader_must_know():
    notes = explain(fitted(cell="gru+lstm", bidirectional=True, bigrams=9, epochs=1), TEXT).notes
    assert len(notes) == 3
    assert "several" in notes[0] and "from the end" in notes[1] and "pairs" in notes[2]
    deep = train_series(as_series(*waves()), replace(CONFIG, cell="gru+lstm", epochs=1), progress=None)
    notes = explain(deep, waves(1)[0][0]).notes
    assert len(notes) == 2
    assert "steps before it" in notes[0] and "no push is divided over the variables" in notes[1]


def test_kept_words_and_their_check_are_those_of_the_models_own_answers():
    model = train_texts(as_texts(*reviews(400)), CONFIG, progress=None)
    text = "it had music and the film was great"
    found = explain(model, text, "pos")
    assert [found.words[k] for k in found.kept] == ["great"]

    def probability(words):
        return model.probabilities([" ".join(words)])[0][1]

    assert found.check.only == pytest.approx(probability(["great"]), abs=1e-6)
    assert found.check.without == pytest.approx(probability(found.words[:-1]), abs=1e-6)
    assert found.bare == pytest.approx(probability([]), abs=1e-6)
    assert found.check.holds and not found.check.spread_out and len(found.check.random) == 50
    z = model.logits([text, text.removeprefix("it ")])
    assert found.occlusion[0] == pytest.approx((z[0] - z[1]) @ [-1, 1], abs=1e-5)


def test_what_was_kept_is_told_by_its_place_among_all_words():
    model = train_texts(
        as_texts(*reviews(400)), replace(CONFIG, max_length=5, truncate="tail"), progress=None
    )
    found = explain(model, "it had music and the film was and it great", "pos")
    assert found.kept == [9] and found.cut[:5] == [True] * 5
    assert found.occlusion[:5] == [0] * 5 and found.occlusion[9] == max(found.occlusion) > 0


def test_without_evidence_there_is_one_pass_and_the_same_sum(monkeypatch):
    model = fitted()
    whole = explain(model, TEXT)
    monkeypatch.setattr(explanation, "gather", lambda *a, **k: pytest.fail("left words out"))
    monkeypatch.setattr(explanation, "flow_curves", lambda *a, **k: pytest.fail("followed the gradient"))
    found = explain(model, TEXT, evidence=False)
    assert (found.kept, found.check, found.bare, found.occlusion) == ([], None, None, [])
    assert replace(whole, kept=[], check=None, bare=None, occlusion=[]) == found
    assert found.page().check is None and found.page().flows == []


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_flow_curves_are_the_gradients_of_an_unrolled_network(cell):
    model = fitted(cell=cell, epochs=2)
    p = {name: value.detach().double() for name, value in model.network.recurrent.named_parameters()}
    ids = torch.from_numpy(model.encoder.full([TEXT])[0].astype(np.int64))
    x = model.network.embedding.words.weight.detach().double()[ids]
    h = c = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    carried = []
    for row in x:
        a = p["weight_ih_l0"] @ row + p["weight_hh_l0"] @ h + p["bias_ih_l0"] + p["bias_hh_l0"]
        if cell == "lstm":
            i, f, g, o = a.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        else:
            h = a.tanh()
        carried.append(c if cell == "lstm" else h)
    weight = model.network.output.weight.detach().double()
    gradients = torch.autograd.grad((weight[0] - weight[1]) @ h, carried)
    (curve,) = explain(model, TEXT, "neg").page().flows
    expected = [float(g.norm()) for g in reversed(gradients)]
    np.testing.assert_allclose(curve.full, expected, rtol=1e-4)
    assert curve.name == cell.upper() and (curve.highway is None) == (cell == "rnn")


def test_curves_of_other_runs_stand_beside():
    model, other = fitted(cell="gru+lstm", bidirectional=True, epochs=1), fitted(cell="rnn", epochs=1)
    flows = explain(model, TEXT, beside=[other, other, fitted(epochs=1)]).page().flows
    assert [flow.name for flow in flows] == ["GRU+LSTM", "RNN", "RNN (2)", "LSTM"]
    assert (
        flows[1].full
        == flows[2].full
        == explain(other, TEXT, flows and explain(model, TEXT).label).page().flows[0].full
    )
    with pytest.raises(
        UsageError, match="the gru model beside the explained one has the labels neg, pos, so"
    ):
        explain(model, TEXT, beside=[fitted(labels=["neg", "pos", "so"] * 20, cell="gru", epochs=1)])


def test_json_holds_all_values_but_what_only_the_page_needs():
    texts, labels = reviews(60)
    model = Classifier(**SMALL | {"epochs": 2}).fit(texts, labels)
    found = model.explain("a <script>alert(1)</script> film", beside=[model])
    values = json.loads(found.to_json())
    assert values["push"] == found.push and values["words"] == found.words
    assert values["kept"] == found.kept and values["occlusion"] == found.occlusion
    assert values["check"]["random"] == found.check.random and values["check"]["holds"] == found.check.holds
    assert "inside" not in values and "inside" not in repr(found)
    infinite = replace(found, half_lives=[float("inf"), 1.5])
    assert json.loads(infinite.to_json())["half_lives"] == [None, 1.5]


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
