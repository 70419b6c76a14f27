"""The bootstrap: how far a figure would move had other examples been drawn (Efron 1979; of BLEU: Koehn 2004)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 2000
_AT_ONCE = 5_000_000
"""Counts that exist together."""


def resamples(examples: int, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """How often each of N examples is drawn in each of `RESAMPLES` resamples: pieces [some, N], each row of sum N."""
    random = np.random.default_rng(seed)
    even = np.full(examples, 1 / examples)
    step = max(1, _AT_ONCE // examples)
    for start in range(0, RESAMPLES, step):
        yield random.multinomial(examples, even, min(step, RESAMPLES - start))


def interval(resampled: Sequence[float] | Floats) -> tuple[float, float]:
    """Between which the middle 95 % of a resampled figure lie."""
    low, high = np.percentile(resampled, (2.5, 97.5))
    return float(low), float(high)
