"""Figures of a classifier from sums and counts, so that parts add up to the whole: never means of means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import UsageError

BINS = 15
HIGHEST, LOWEST = 20.0, 0.05
Floats = NDArray[np.float64]


def log_softmax(logits: NDArray[Any]) -> Floats:
    """Logarithms of the probabilities, [N, K], in float64."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


@dataclass(frozen=True)
class ClassCounts:
    """Everything the figures need, as sums over examples; two parts are joined by `+`.

    Args:
        confusion: counts, rows the true class and columns the predicted one; [K, K] int64.
        nll: sum of -log p(true class), in nats.
        bins: examples, sum of the highest probability, and right answers; one row for each of 15 bins of equal
            width over the highest probability; [15, 3].
    """

    confusion: NDArray[np.int64]
    nll: float
    bins: Floats

    @classmethod
    def of(cls, logits: NDArray[Any], targets: NDArray[np.int64], temperature: float = 1.0) -> ClassCounts:
        """Counts of some examples: logits [N, K], targets [N] in 0..K-1."""
        log_p = log_softmax(np.asarray(logits, np.float64) / temperature)  # [N, K]
        classes = log_p.shape[1]
        guess = log_p.argmax(1)
        confusion = np.bincount(targets * classes + guess, minlength=classes * classes).reshape(
            classes, classes
        )
        confidence = np.exp(log_p.max(1))
        at = np.clip(
            np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1
        )  # bin k holds (k/15, (k+1)/15]
        columns = [np.ones(len(at)), confidence, guess == targets]
        bins = np.zeros((BINS, len(columns)))
        for position, column in enumerate(columns):
            np.add.at(bins[:, position], at, column)
        return cls(confusion, float(-log_p[np.arange(len(targets)), targets].sum()), bins)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(self.confusion + other.confusion, self.nll + other.nll, self.bins + other.bins)

    @property
    def total(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / self.total)

    @property
    def loss(self) -> float:
        """Mean negative log likelihood in nats."""
        return self.nll / self.total

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: Σ_bins n_b/N · |accuracy_b - mean confidence_b|.

        Source: Naeini et al. 2015; with 15 bins: Guo et al. 2017, equation 3.
        """
        return float(np.abs(self.bins[:, 2] - self.bins[:, 1]).sum() / self.total)

    @property
    def calibration(self) -> list[tuple[float, float, int]]:
        """Of each bin that has examples: mean highest probability, share of right answers, number of examples."""
        return [(float(p / n), float(right / n), int(n)) for n, p, right in self.bins if n]

    def per_class(self) -> dict[str, Floats]:
        """Precision, recall and F1 of each class, [K]; 0 where nothing was predicted or nothing occurred."""
        hits = np.diag(self.confusion).astype(np.float64)
        predicted, support = self.confusion.sum(0), self.confusion.sum(1)
        return {
            "precision": hits / np.maximum(predicted, 1),
            "recall": hits / np.maximum(support, 1),
            "f1": 2 * hits / np.maximum(predicted + support, 1),
        }

    @property
    def macro_f1(self) -> float:
        """The mean of the classes' F1."""
        return float(self.per_class()["f1"].mean())

    def figures(self, labels: Sequence[str]) -> dict[str, Any]:
        """All figures under their usual names, ready for JSON; classes by label."""
        scores = self.per_class()
        support = self.confusion.sum(1)
        return {
            "examples": self.total,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "classes": {
                label: {name: float(scores[name][k]) for name in scores} | {"support": int(support[k])}
                for k, label in enumerate(labels)
            },
            "labels": list(labels),
            "confusion": self.confusion.tolist(),
            "calibration": [list(row) for row in self.calibration],
        }


def fit_temperature(logits: NDArray[Any], targets: NDArray[np.int64]) -> float:
    """The temperature τ that makes softmax(logits / τ) most likely, within [0.05, 20] (Guo et al. 2017).

    Newton's method on 1/τ, in which the likelihood is concave, kept inside a shrinking bracket. Where every
    answer is right there is no best temperature, and 1 is returned.

    Args:
        logits: [N, K], N > 0; targets: [N].
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or len(logits) != len(targets) or len(logits) == 0:
        raise UsageError(f"logits {logits.shape} and targets {np.shape(targets)} do not belong together")
    own = logits[np.arange(len(targets)), targets]
    if (own >= logits.max(1)).all():
        return 1.0
    low, high = 1 / HIGHEST, 1 / LOWEST
    if _slope(logits, own, low)[0] >= 0:
        return HIGHEST
    if _slope(logits, own, high)[0] <= 0:
        return LOWEST
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(logits, own, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else low
        step = step if low < step < high else (low + high) / 2
        if abs(step - inverse) <= 1e-12 * inverse:
            break
        inverse = step
    return 1 / inverse


def _slope(logits: Floats, own: Floats, inverse: float) -> tuple[float, float]:
    """First and second derivative of the summed -log p(true class) by 1/τ."""
    p = np.exp(log_softmax(logits * inverse))
    mean = (p * logits).sum(1)
    return float((mean - own).sum()), float((p * (logits - mean[:, None]) ** 2).sum())
