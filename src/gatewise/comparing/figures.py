"""Figures as sums over examples, so that they can be computed for any resample of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gatewise.bootstrap import Floats, interval, resamples


@dataclass(frozen=True)
class Figure:
    """A figure of one run.

    Attributes:
        name: as `evaluate` calls it.
        sums: what each example adds, [N, S].
        formula: from the sums [S] over some examples to the figure.
    """

    name: str
    sums: Floats
    formula: Callable[[Floats], float]

    @property
    def value(self) -> float:
        """Over all examples."""
        return self.formula(self.sums.sum(0))


class Difference(NamedTuple):
    """By how much a figure of a run is above that of the first, and where 95 % of the bootstrap lie."""

    value: float
    low: float
    high: float


def ratio(name: str, above: ArrayLike, below: ArrayLike, *, scale: float = 1.0) -> Figure:
    """`scale` Σ above / Σ below, of what each example adds to either, [N]; nan where nothing is below."""
    return Figure(name, _columns(above, below), lambda sums: scale * _quotient(sums))


def perplexity(nats: ArrayLike, tokens: ArrayLike) -> Figure:
    """exp(Σ nats / Σ tokens); infinite where that is beyond float64."""
    return Figure("perplexity", _columns(nats, tokens), lambda sums: _exp(_quotient(sums)))


def bits(unit: str, nats: ArrayLike, units: ArrayLike) -> Figure:
    """Bits a unit of text, such as a character."""
    return ratio(f"bits_per_{unit}", nats, units, scale=1 / math.log(2))


def differences(runs: Sequence[Sequence[Figure]], seed: int) -> list[list[Difference]]:
    """Of every run but the first, its figures less the first run's; all of them from the same resamples.

    Args:
        runs: the same figures of the same examples in the same order for each.
    """
    every = [figure for run in runs for figure in run]
    table = np.concatenate([figure.sums for figure in every], 1)  # [N, all of their sums]
    totals = np.concatenate([counts @ table for counts in resamples(len(table), seed)])
    ends = np.cumsum([figure.sums.shape[1] for figure in every])[:-1]
    drawn = [
        np.array([figure.formula(sums) for sums in part])
        for figure, part in zip(every, np.split(totals, ends, 1), strict=True)
    ]
    each = len(runs[0])
    return [
        [
            Difference(own.value - first.value, *_interval(drawn[k * each + n], drawn[n]))
            for n, (own, first) in enumerate(zip(runs[k], runs[0], strict=True))
        ]
        for k in range(1, len(runs))
    ]


def _interval(own: Floats, first: Floats) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):  # infinite less infinite is nan, and is shown so
        return interval(own - first)


def _columns(*sums: ArrayLike) -> Floats:
    return np.stack([np.asarray(one, np.float64) for one in sums], 1)


def _quotient(sums: Floats) -> float:
    above, below = sums.tolist()
    return above / below if below else math.nan


def _exp(value: float) -> float:
    return math.exp(value) if not value > 709 else math.inf
