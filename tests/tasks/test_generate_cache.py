"""The continuous cache against its equation, written out in NumPy one token at a time."""

import math
from itertools import pairwise

import numpy as np
import pytest
from language_cases import WrittenOut, language_model, random_tokens

from gatewise.errors import DataError, UsageError
from gatewise.tasks.generate import cache as caches
from gatewise.tasks.generate.cache import Cache, measure_cached
from gatewise.tasks.generate.measure import measure_carried

TOKENS = random_tokens(53)


def written_out(model, tokens, cache) -> list[float]:
    """-log p of each token but the first."""
    written = WrittenOut(model)
    tokens, state, kept, found = [int(t) for t in tokens], written.zero(), [], []
    for token, following in pairwise(tokens):
        logits, state = written.read(token, state)
        h = state[-1][0]
        p = np.exp(logits[following]) / np.exp(logits).sum()
        if kept:
            weights = np.exp([cache.theta * h @ before for before, _ in kept])
            q = (
                sum(w for w, (_, then) in zip(weights, kept, strict=True) if then == following)
                / weights.sum()
            )
            p = (1 - cache.share) * p + cache.share * q
        kept = [*kept, (h, following)][-cache.size :]
        found.append(-math.log(p))
    return found


@pytest.mark.parametrize("at_once", [1, 7, 512])
@pytest.mark.parametrize(
    "cache", [Cache(5, 2.0, 0.4), Cache(1, 0.3, 0.9), Cache(1000, 0.0, 0.1), Cache(20, 50.0, 0.5)]
)
def test_the_equation(monkeypatch, cache, at_once):
    monkeypatch.setattr(caches, "STEPS_AT_ONCE", at_once)
    model = language_model(tie=True)
    found = measure_cached(model, TOKENS, cache)
    assert found.count == 52
    assert found.total == pytest.approx(math.fsum(written_out(model, TOKENS, cache)), rel=1e-12)


def test_a_share_of_nothing_is_the_model_alone():
    model = language_model()
    found = measure_cached(model, TOKENS, Cache(10, 1.0, 0.0))
    assert found.total == pytest.approx(measure_carried(model, TOKENS).total, rel=1e-12)


def test_what_repeats_is_predicted_better():
    model, repeated = language_model(), random_tokens(10).repeat(6)
    assert measure_cached(model, repeated, Cache(100, 20.0, 0.5)).loss < measure_carried(model, repeated).loss


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0,), "size is 0"),
        ((5, -1.0), "theta is -1"),
        ((5, math.nan), "theta is nan"),
        ((5, 1.0, 1.0), "share is 1"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        Cache(*values)


def test_a_text_of_one_token_is_refused():
    with pytest.raises(DataError, match="1 tokens"):
        measure_cached(language_model(), TOKENS[:1], Cache(5))
