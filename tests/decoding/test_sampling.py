"""Sampling against distributions written out by hand."""

import math

import pytest
import torch

from gatewise.decoding.sampling import Sampling
from gatewise.errors import UsageError

P = [0.10, 0.40, 0.05, 0.25, 0.20]
LOGITS = torch.tensor(P, dtype=torch.float64).log() + 3.0


def probabilities(**options):
    return Sampling(**options).probabilities(LOGITS).tolist()


def test_as_the_model_has_it():
    assert probabilities() == pytest.approx(P, abs=1e-15)
    assert probabilities(top_k=5) == probabilities(top_k=9) == probabilities()


def test_temperature_raises_probabilities_to_its_inverse():
    squares = [p * p for p in P]
    assert probabilities(temperature=0.5) == pytest.approx([s / sum(squares) for s in squares], abs=1e-15)
    roots = [math.sqrt(p) for p in P]
    assert probabilities(temperature=2) == pytest.approx([r / sum(roots) for r in roots], abs=1e-15)
    assert probabilities(temperature=0) == [0, 1, 0, 0, 0]
    assert probabilities(temperature=1e-300) == [0, 1, 0, 0, 0]


def test_the_k_likeliest():
    assert probabilities(top_k=1) == [0, 1, 0, 0, 0]
    assert probabilities(top_k=3) == pytest.approx([0, 0.40 / 0.85, 0, 0.25 / 0.85, 0.20 / 0.85], abs=1e-15)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.01, [1]), (0.39, [1]), (0.41, [1, 3]), (0.6, [1, 3]), (0.7, [1, 3, 4]), (0.9, [1, 3, 4, 0]), (0.96, range(5))],
)  # fmt: skip
def test_the_nucleus_is_the_smallest_set_that_reaches_p(top_p, kept):
    total = sum(P[k] for k in kept)
    assert probabilities(top_p=top_p) == pytest.approx(
        [P[k] / total if k in kept else 0 for k in range(5)], abs=1e-15
    )


def test_one_after_the_other():
    """Squares .01 .16 .0025 .0625 .04; of the best three (.2625 together) 61 %, 24 %, 15 %: two reach 0.8."""
    found = probabilities(temperature=0.5, top_k=3, top_p=0.8)
    assert found == pytest.approx([0, 0.16 / 0.2225, 0, 0.0625 / 0.2225, 0], abs=1e-15)


def test_equally_likely_tokens_in_the_order_of_their_numbers():
    alike = torch.zeros(4)
    assert Sampling(top_k=3).probabilities(alike).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert Sampling(top_p=0.5).probabilities(alike).tolist() == [0.5, 0.5, 0, 0]
    assert Sampling(temperature=0).probabilities(alike).tolist() == [1, 0, 0, 0]


def test_what_is_never_drawn_stays_so():
    masked = LOGITS.clone()
    masked[1] = -torch.inf
    for options in ({}, {"temperature": 3.0}, {"top_k": 4}, {"top_p": 0.999}, {"temperature": 0.0}):
        found = Sampling(**options).probabilities(masked)
        assert found[1] == 0 and float(found.sum()) == pytest.approx(1, abs=1e-15)


def test_draws_follow_the_distribution_and_the_seed():
    sampling, rows = Sampling(top_k=3), LOGITS.expand(40_000, -1)
    drawn = sampling.draw(rows, torch.Generator().manual_seed(4))
    shares = drawn.bincount(minlength=5).double() / len(drawn)
    assert shares.tolist() == pytest.approx(sampling.probabilities(LOGITS).tolist(), abs=0.01)
    assert torch.equal(drawn, sampling.draw(rows, torch.Generator().manual_seed(4)))
    assert not torch.equal(drawn, sampling.draw(rows, torch.Generator().manual_seed(5)))


def test_each_row_from_its_own_logits():
    rows = torch.stack([LOGITS, -LOGITS])
    assert Sampling(temperature=0).draw(rows, torch.Generator()).tolist() == [1, 2]
    found = Sampling(top_p=0.41).probabilities(rows)
    assert found[0].tolist() == probabilities(top_p=0.41) and found[1].argmax() == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be 0 or more"),
        ({"temperature": math.nan}, "temperature is nan; it must be 0 or more"),
        ({"top_k": -1}, "top_k is -1; it is a whole number, 0 or more"),
        ({"top_k": 1.5}, "top_k is 1.5; it is a whole number, 0 or more"),
        ({"top_p": 0}, "top_p is 0; it must be above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p is 1.1; it must be above 0 and at most 1"),
    ],
)
def test_values_out_of_their_range(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        Sampling(**options)
