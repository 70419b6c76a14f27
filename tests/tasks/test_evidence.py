"""Leaving steps out, on networks whose answers are sums that can be written down."""

import math
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, reviews, waves
from torch import nn

from gatewise.data.scaler import Scaler
from gatewise.data.tokenizer import Tokenizer
from gatewise.tasks.classify import evidence as module
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.deletion import calibrated, contrast, variants
from gatewise.tasks.classify.encode import SeriesEncoder, TextEncoder
from gatewise.tasks.classify.evidence import evidence
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.recipe import train_series, train_texts


class Sum(nn.Module):
    """Logits (0, bias + Σ of a number a word), or of the one feature of a sequence: the log odds are that sum."""

    def __init__(self, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.output, self.bias, self.seen = SimpleNamespace(out_features=2), bias, []

    def forward(self, x, lengths):
        self.seen.append(x.shape[1])
        inside = torch.arange(len(x))[:, None] < lengths
        values = self.values(x).double() * inside
        odds = self.bias + values.sum(0)
        return torch.stack([torch.zeros_like(odds), odds], 1)

    def values(self, x):
        return x[..., 0]


class Words(Sum):
    """A word's number is its id minus 10."""

    def values(self, x):
        return x - 10


def words(bias=0.0, temperature=1.0):
    tokenizer = Tokenizer.train(["a b a b"], "words")
    encoder = TextEncoder(tokenizer, 400, "head")
    return FittedClassifier(ClassifyConfig(), Words(bias), encoder, ["no", "yes"], temperature)


def numbers(bias=0.0):
    encoder = SeriesEncoder(Scaler(np.zeros(1), np.ones(1)), 400, "head", ["v"])
    return FittedClassifier(ClassifyConfig(), Sum(bias), encoder, ["no", "yes"])


def ids(*values):
    return np.array(values, np.int32) + 10


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def found(values, bias=0.0, **options):
    fitted, push = words(bias), [float(v) for v in values]
    return evidence(fitted, ids(*values), push, 1, sigmoid(bias + sum(values)), **options)


def test_of_a_text_the_words_go_and_of_a_sequence_the_values_become_the_mean():
    left_out = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], bool)
    assert variants(words(0.5), ids(3, -1, 4), left_out)[:, 1].tolist() == [6.5, 3.5, 3.5, 0.5]
    fitted, lengths = numbers(), []
    collate = fitted.encoder.collate
    seen = SimpleNamespace(collate=lambda arrays: lengths.extend(map(len, arrays)) or collate(arrays))
    fitted.encoder = seen
    array = np.array([[3.0], [-1.0], [4.0]], np.float32)
    assert variants(fitted, array, left_out)[:, 1].tolist() == [6.0, 3.0, 3.0, 0.0]
    assert lengths == [3] * 4
    assert array[:, 0].tolist() == [3.0, -1.0, 4.0]


def test_variants_come_in_their_own_order_and_in_batches():
    draw, fitted = np.random.default_rng(0), words()
    values = draw.integers(-5, 6, 40)
    left_out = draw.random((700, 40)) < 0.4
    logits = variants(fitted, ids(*values), left_out)
    np.testing.assert_array_equal(logits[:, 1], np.where(left_out, 0, values).sum(1))
    assert max(fitted.network.seen) <= 256 and sum(fitted.network.seen) == 700
    assert variants(fitted, ids(*values), left_out[:0]).shape == (0, 2)


def test_pairs_form_anew_across_a_word_that_was_left_out():
    config = ClassifyConfig(**SMALL | {"epochs": 2, "bigrams": 50, "bigram_dropout": 0.0})
    model = train_texts(as_texts(*reviews(60)), config, progress=None)
    text = ["the", "film", "was", "great"]
    array = model.encoder.full([" ".join(text)])[0]
    left_out = ~np.array(list(np.ndindex(2, 2, 2, 2)), bool)
    expected = model.logits(
        [" ".join(w for w, gone in zip(text, row, strict=True) if not gone) for row in left_out]
    )
    np.testing.assert_allclose(variants(model, array, left_out), expected, atol=1e-6)


def test_a_score_is_a_logit_against_the_mean_of_the_others():
    logits = np.array([[1.0, 4.0, 10.0], [0.0, 0.0, 6.0]])
    assert contrast(logits.T, 2).tolist() == [7.5, 6.0]
    assert contrast(torch.tensor(logits).T, 0).tolist() == [-6.0, -3.0]
    expected = 1 / (1 + math.exp(-3 / 2))
    assert calibrated(words(temperature=2.0), np.array([[0.0, 3.0]]), 1) == pytest.approx([expected])


def test_the_kept_set_of_a_written_out_sum():
    # p(all) = σ(3 + 2 + 1 - 1) = σ(5) = 0.9933, of which 90 % is 0.894. σ(3) = 0.953 is enough, σ(2) = 0.881 is not.
    one = found([1, 2, -1, 3])
    assert (one.kept, one.by) == ([3], "push")
    assert one.check.kept == 1 and not one.check.spread_out
    assert one.check.only == pytest.approx(sigmoid(3))
    assert one.check.without == pytest.approx(sigmoid(2))
    assert one.bare == 0.5
    assert one.occlusion == [1, 2, -1, 3]
    # With a bias of -2: σ(3) = 0.953, of which 90 % is 0.857; σ(1) = 0.731, σ(3) = 0.953.
    two = found([1, 2, -1, 3], bias=-2.0)
    assert two.kept == [1, 3] and two.check.only == pytest.approx(sigmoid(3))
    assert two.check.without == pytest.approx(sigmoid(-2))
    assert not two.check.spread_out  # 2 of 4 is not more than half


def test_a_set_is_spread_out_above_half_and_where_there_is_none():
    above = found([1, 1, 1, -9], bias=5.0)  # p = σ(2); alone it takes σ(5 + 1)
    assert above.kept == [0] and not above.check.spread_out
    most = found([2, 2, 2, 0], bias=-3.0)  # 90 % of σ(3) is 0.857: σ(-1), σ(1) are too little, σ(3) is enough
    assert most.kept == [0, 1, 2] and most.check.spread_out and most.check.kept == 3
    none = found([-1, -2, 0], bias=1.0)
    assert none.kept == [] and none.check.kept == 0 and none.check.spread_out
    assert (none.check.random, none.check.holds) == ([], False)
    assert none.check.only == none.bare == pytest.approx(sigmoid(1))
    assert none.check.without == pytest.approx(sigmoid(-2))


def test_the_smallest_set_is_that_of_the_definition():
    draw = np.random.default_rng(3)
    for _ in range(20):
        values = draw.integers(-4, 5, 50).tolist()
        bias = float(draw.integers(-6, 3))
        one = found(values, bias, draws=1)
        positive = sorted((v for v in values if v > 0), reverse=True)
        least = 0.9 * sigmoid(bias + sum(values))
        sizes = [k for k in range(1, len(positive) + 1) if sigmoid(bias + sum(positive[:k])) >= least - 1e-12]
        assert len(one.kept) == (sizes[0] if sizes else 0)
        assert one.kept == sorted(one.kept)
        assert sorted(values[k] for k in one.kept) == sorted(positive[: len(one.kept)])
        assert one.check.spread_out == (not sizes or sizes[0] > 25)


def test_random_draws_leave_out_as_many_steps_and_are_the_same_again():
    values = [1, 2, 4, 8, 16, -14, -14]
    one = found(values, bias=1.0, draws=200)
    size, total = len(one.kept), 1 + sum(values)
    possible = {round(sigmoid(total - sum(some)), 9) for some in combinations(values, size)}
    possible.discard(round(one.check.without, 9))  # the kept set itself is not drawn; no other has its sum
    drawn = {round(p, 9) for p in one.check.random}
    assert len(one.check.random) == 200 and drawn <= possible
    assert len(drawn) > len(possible) / 2
    assert found(values, bias=1.0, draws=200) == one
    assert found(values, bias=1.0, draws=200, seed=1).check.random != one.check.random
    assert len(found(values).check.random) == 50


def test_it_holds_when_leaving_out_beats_chance():
    decisive = found([6, *[0] * 30])
    assert decisive.kept == [0] and decisive.check.holds
    assert decisive.check.without == 0.5 and min(decisive.check.random) == pytest.approx(sigmoid(6))
    two = found([6, 0])  # every other set of one word is the other word
    assert two.check.holds and two.check.random == pytest.approx([sigmoid(6)] * 50)
    alone = found([6])
    assert alone.check.random == [] and not alone.check.holds and alone.check.spread_out
    # All words alike: leaving out the kept ones does what any others do.
    assert not found([1] * 30, bias=-20.0).check.holds
    # A ranking that picks a word by mistake: leaving it out does not lower the probability.
    fitted = words(5.0)
    wrong = evidence(fitted, ids(0, 0, 0, -2), [1.0, 0.0, 0.0, 0.0], 1, sigmoid(3))
    assert wrong.kept == [0] and not wrong.check.holds


def test_without_push_the_ranking_is_by_occlusion():
    one = evidence(words(), ids(1, 2, -1, 3), None, 1, sigmoid(5))
    assert (one.by, one.kept) == ("occlusion", [3])


def test_long_inputs_are_not_occluded_and_empty_ones_have_no_evidence(monkeypatch):
    monkeypatch.setattr(module, "MOST_OCCLUDED", 3)
    assert found([1, 2, -1, 3]).occlusion == [] and found([1, 2, -1, 3]).kept == [3]
    assert found([1, 2, 3]).occlusion == [1, 2, 3]
    assert evidence(words(), ids(1, 2, -1, 3), None, 1, 0.9) is None
    assert found([]) is None


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_occlusion_of_a_trained_model_is_the_difference_of_two_answers(pooling):
    model = train_texts(
        as_texts(*reviews(60)), ClassifyConfig(**SMALL | {"epochs": 2, "pooling": pooling}), progress=None
    )
    text = ["the", "film", "was", "awful", "and", "it", "had", "music"]
    z = model.logits([" ".join(text), *(" ".join(text[:k] + text[k + 1 :]) for k in range(len(text)))])
    odds = z[:, 1] - z[:, 0]
    array = model.encoder.full([" ".join(text)])[0]
    one = evidence(model, array, [1.0] * len(text), 1, 0.5, draws=2)
    np.testing.assert_allclose(one.occlusion, odds[0] - odds[1:], atol=1e-5)


def test_a_sequence_without_steps_keeps_its_length():
    model = train_series(as_series(*waves()), ClassifyConfig(**SMALL | {"epochs": 2}), progress=None)
    array = model.encoder.full([waves(1)[0][0]])[0]
    left_out = np.zeros((1, len(array)), bool)
    left_out[0, 2] = True
    mean = waves(1)[0][0].copy()
    mean[2] = model.encoder.scaler.mean
    np.testing.assert_allclose(variants(model, array, left_out), model.logits([mean]), atol=1e-5)
