"""Scaling of features to mean 0 and standard deviation 1, as the training part has them, and filling of gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import DataError, RunError, UsageError

_LARGEST = np.finfo(np.float32).max
_CONSTANT = 1e-12
"""A deviation below this share of a feature's largest value is rounding, not information."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """`z = (x - mean) / std` a feature.

    Attributes:
        mean, std: float64 [F], in the units of the data; std is 1 for a feature that never changes.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: Sequence[np.ndarray]) -> "Scaler":
        """Mean and standard deviation (population) of every feature over all steps; NaN is left out.

        Args:
            values: arrays [T, F] of the training part alone.

        Raises:
            DataError: there is no step, or a feature is missing at every one.
        """
        steps = np.concatenate(list(values)) if len(values) else np.empty((0, 0))  # [sum T, F]
        if not len(steps):
            raise DataError("the training part has no step to fit a scaling on")
        there = ~np.isnan(steps)
        if not there.any(axis=0).all():
            feature = int(np.argmin(there.any(axis=0))) + 1
            raise DataError(
                f"feature {feature} of {steps.shape[1]} is missing at all {len(steps):,} training steps"
            )
        mean, std = np.nanmean(steps, axis=0), np.nanstd(steps, axis=0)
        constant = std <= _CONSTANT * np.nanmax(np.abs(steps), axis=0)
        return cls(mean, np.where(constant, 1.0, std))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale and fill: a missing value becomes the last one seen before it, or 0, the training mean.

        Args:
            values: [T, F]; NaN where missing.

        Returns:
            float32 [T, F], free of NaN.

        Raises:
            UsageError: another number of features.
            DataError: a value so far from the training part that its scaled value is beyond float32.
        """
        if values.ndim != 2 or values.shape[1] != len(self.mean):
            raise UsageError(
                f"the values have shape {values.shape}; the scaling is for [T, {len(self.mean)}]"
            )
        with np.errstate(over="ignore"):
            scaled = (values - self.mean) / self.std  # [T, F]
        if (np.abs(scaled) > _LARGEST).any():
            step, feature = np.argwhere(np.abs(scaled) > _LARGEST)[0]
            raise DataError(
                f"step {step + 1}, feature {feature + 1}: {values[step, feature]} scales beyond float32"
            )
        return _filled(scaled).astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """Mean and deviation as JSON numbers, which give the same bits back."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Scaler":
        """What `to_dict` gave; a RunError when it is not that."""
        try:
            mean, std = (np.array(stored[name], dtype=np.float64) for name in ("mean", "std"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunError(f"the stored scaling has no readable mean and std ({error})") from error
        if mean.ndim != 1 or mean.shape != std.shape or not np.isfinite(mean).all() or not _positive(std):
            raise RunError("the stored scaling needs a finite mean and a positive std of the same length")
        return cls(mean, std)


def _positive(std: np.ndarray) -> bool:
    return bool((np.isfinite(std) & (std > 0)).all())


def _filled(scaled: np.ndarray) -> np.ndarray:
    """Carry the last value forward over NaN; 0 before the first."""
    steps = np.arange(len(scaled))[:, None]  # [T, 1]
    last = np.maximum.accumulate(np.where(np.isnan(scaled), -1, steps), axis=0)  # [T, F], -1 before the first
    carried = np.take_along_axis(scaled, np.maximum(last, 0), axis=0)
    return np.where(last < 0, 0.0, carried)
