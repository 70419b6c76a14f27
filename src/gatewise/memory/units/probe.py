"""A linear probe: how much of a label or a signal can be read off the states by a linear model, and off one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.units.scikit_learn import sklearn
from gatewise.memory.units.sequences import Floats, States, rows_of
from gatewise.memory.units.signal import Pool, Signal, beside, signal_of
from gatewise.memory.units.tracking import ROUNDING, associations, unit_columns

MOST_ITERATIONS = 5000


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a label or a signal is read off the states of sequences that were held out.

    Attributes:
        measure: "accuracy" for classes, "R²" for numbers.
        score: of a linear model of all units.
        one_unit: of a linear model of unit `unit` alone, the one with the strongest correlation on the training part.
        majority: of always giving the most frequent class of the training part, or its mean.
        shuffled: of the same linear model where the labels of the sequences were dealt anew, the mean over several
            deals: what it makes of chance. A score near it says nothing about the states.
        weights: of the model of all units on standardised states, [H] for numbers and two classes, else [K, H].
        training, held_out: numbers of sequences.
    """

    measure: str
    score: float
    one_unit: float
    unit: int
    majority: float
    shuffled: float
    weights: Tensor = field(repr=False)
    training: int
    held_out: int


def probe(
    states: States,
    labels: Any,
    lengths: Tensor | Sequence[int] | None = None,
    *,
    classes: bool | None = None,
    pool: Pool = "last",
    held_out: float = 0.25,
    strength: float = 1.0,
    shuffles: int = 5,
    seed: int = 0,
) -> Probe:
    """Fit a linear model from the states to the labels on some sequences, and measure it on the others.

    Classes by logistic regression, numbers by ridge regression, both from scikit-learn, on states standardised by the
    training part. What a probe can read the model need not use.

    Args:
        states, labels, lengths, classes, pool: as in `track`.
        held_out: share of the sequences that is measured, above 0 and below 1; of classes of whole sequences drawn by
            class. No sequence is on both sides.
        strength: inverse of the penalty: C of the logistic, 1/α of the ridge regression.
        shuffles: deals of the labels behind `shuffled`, 1 or more.
        seed: of the split and of the deals.

    Raises:
        UsageError: scikit-learn is not installed; numbers out of range; too few sequences for a split in which the
            training part has two classes, or the held-out part two values; what `track` refuses.

    Source:
        Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes"; Hewitt & Liang 2019,
        "Designing and interpreting probes with control tasks", for the labels dealt anew.
    """
    _check(held_out, strength, shuffles)
    models = sklearn("linear_model", "a probe")
    rows = rows_of(states, lengths)
    signal = signal_of(labels, rows, classes)
    random = np.random.default_rng(seed)
    out = _held_out(signal, held_out, random)  # [B]
    split = _Split(models, signal.kinds > 0, strength, np.repeat(out, [len(part) for part in signal.values]))
    values, wanted = beside(rows, signal, pool), signal.flat
    split.check(wanted)
    train = values[~split.out]
    unit = int(np.abs(associations(unit_columns(train), wanted[~split.out, None], signal.kinds)).argmax())
    spread = train.std(0)
    scaled = (values - train.mean(0)) / np.where(spread > ROUNDING * np.abs(train).max(0), spread, 1)
    score, weights = split.fit(scaled, wanted)
    return Probe(
        "accuracy" if signal.kinds else "R²",
        score,
        split.fit(scaled[:, [unit]], wanted)[0],
        unit,
        split.constant(wanted),
        float(np.mean([split.fit(scaled, signal.dealt(random))[0] for _ in range(shuffles)])),
        torch.from_numpy(weights[0] if weights.ndim == 2 and len(weights) == 1 else weights),
        int((~out).sum()),
        int(out.sum()),
    )


def _check(held_out: float, strength: float, shuffles: int) -> None:
    if not 0 < held_out < 1:
        raise UsageError(f"held_out is {held_out}; it must lie above 0 and below 1")
    if not 0 < strength < float("inf"):
        raise UsageError(f"strength is {strength}; it must be a positive number")
    if shuffles < 1:
        raise UsageError(f"shuffles is {shuffles}; 1 or more are needed")


def _held_out(signal: Signal, share: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """The sequences that are measured, [B]; of classes of whole sequences the share of each."""
    count = len(signal.values)
    groups = signal.flat if signal.kinds and not signal.by_step else np.zeros(count)
    out = np.zeros(count, bool)
    for group in np.unique(groups):
        members = random.permutation(np.flatnonzero(groups == group))
        out[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
    return out


@dataclass(frozen=True, eq=False)
class _Split:
    """One way to fit and to measure, with scikit-learn's linear models; `out` [N] says which values are held out."""

    models: ModuleType
    classes: bool
    strength: float
    out: NDArray[np.bool_]

    def check(self, wanted: Floats) -> None:
        kept, measured = (len(np.unique(wanted[side])) for side in (~self.out, self.out))
        if kept < 2 or measured < (1 if self.classes else 2):
            raise UsageError(
                f"the training part has {kept} different labels and the held-out part {measured}, and a probe needs 2 "
                f"and {1 if self.classes else 2}; give more sequences, or another held_out"
            )

    def fit(self, units: Floats, wanted: Floats) -> tuple[float, Floats]:
        """The score on the held-out values, and the weights."""
        if not self.classes:
            model = self.models.Ridge(alpha=1 / self.strength)
        elif len(np.unique(wanted[~self.out])) > 1:
            model = self.models.LogisticRegression(C=self.strength, max_iter=MOST_ITERATIONS)
        else:  # a deal can leave one class for the training part
            return self.constant(wanted), np.zeros(0)
        model.fit(units[~self.out], wanted[~self.out])
        return float(model.score(units[self.out], wanted[self.out])), np.asarray(model.coef_, np.float64)

    def constant(self, wanted: Floats) -> float:
        """The score of the constant answer that fits the training part best."""
        train, measured = wanted[~self.out], wanted[self.out]
        if self.classes:
            return float((measured == np.bincount(train.astype(np.int64)).argmax()).mean())
        return float(1 - ((measured - train.mean()) ** 2).sum() / ((measured - measured.mean()) ** 2).sum())
