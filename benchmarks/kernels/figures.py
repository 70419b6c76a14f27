"""Many interleaved pairs as one figure with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import DRAWS, Times, resampled_medians


class Figure(NamedTuple):
    """A ratio of times, first / second, and its bootstrap 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def _figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Figure(value, float(low), float(high))


def geometric_mean(times: Sequence[Times]) -> Figure:
    """The geometric mean over shapes of the ratio of medians; the pairs of each shape are resampled."""
    random = np.random.default_rng(0)
    medians = np.stack([np.median(one, axis=0) for one in times])  # [shapes, 2]
    drawn = np.stack([resampled_medians(one, random) for one in times], axis=1)  # [draws, shapes, 2]
    return _figure(float(_mean_ratio(medians)), _mean_ratio(drawn))


def _mean_ratio(medians: NDArray[np.float64]) -> NDArray[np.float64]:
    """[*, shapes, 2] -> [*]."""
    return np.exp(np.log(medians[..., 0] / medians[..., 1]).mean(axis=-1))


def ratio_of_sums(times: Sequence[Times]) -> Figure:
    """All seconds of the first / all of the second: parts of one long run, which are resampled."""
    parts, random = np.concatenate(times), np.random.default_rng(0)
    sums = parts[random.integers(len(parts), size=(DRAWS, len(parts)))].sum(axis=1)  # [draws, 2]
    first, second = parts.sum(axis=0)
    return _figure(float(first / second), sums[:, 0] / sums[:, 1])
