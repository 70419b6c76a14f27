"""Units that track something: how strongly each one goes with a label or a signal, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.units.sequences import Floats, States, rows_of
from gatewise.memory.units.signal import Pool, Signal, beside, signal_of

AT_ONCE = 4_000_000
"""Numbers of dealt signals that are held at a time."""
ROUNDING = 1e-12


class Unit(NamedTuple):
    """A unit and how strongly it tracks; see `Tracking`."""

    unit: int
    correlation: float
    p: float


@dataclass(frozen=True, eq=False)
class Tracking:
    """How strongly each unit goes with a label or a signal.

    Attributes:
        correlation: [H] float64. Of numbers Pearson's r; of two classes the point-biserial correlation, positive where
            the unit is larger for the second class; of more classes the correlation ratio η, from 0 to 1. 0 for a unit
            that never moves.
        p: [H] float64, the share of chance deals in which the best of all units does as well: corrected for the number
            of units (the probability of one false find or more).
        measure: "pearson", "point-biserial" or "correlation ratio".
        classes: their names in the order of their places, or None for numbers.
        sequences: their number. observations: of labels, or of steps.
        permutations: of which p is made; p is 1 / (permutations + 1) at the least.
    """

    correlation: Tensor = field(repr=False)
    p: Tensor = field(repr=False)
    measure: str
    classes: list[Any] | None
    sequences: int
    observations: int
    permutations: int

    def best(self, count: int = 10) -> list[Unit]:
        """The units that track most strongly, the strongest first."""
        order = self.correlation.abs().argsort(descending=True, stable=True)[:count].tolist()
        return [Unit(unit, float(self.correlation[unit]), float(self.p[unit])) for unit in order]


def track(
    states: States,
    labels: Any,
    lengths: Tensor | Sequence[int] | None = None,
    *,
    classes: bool | None = None,
    pool: Pool = "last",
    permutations: int = 1000,
    turn: bool = False,
    seed: int = 0,
) -> Tracking:
    """Which units go with a label of each sequence, or with a signal that has a value at each step.

    A correlation shows that a unit goes with something, not that the model uses it: `gw.intervene` tests that.

    Significance is by permutation: the labels are dealt anew among the sequences, whole sequences at a time, and in
    each deal the largest correlation of all units is kept. A unit's p is the share of deals, the one as given counted,
    whose largest is at least the unit's own. It holds where the sequences could have come in any order.

    Args:
        states: [T, B, H], such as `.h` or `.c` of a trace, or one [T, H] a sequence.
        labels: one a sequence [B], or a signal [T, B] or one [T] a sequence: numbers, texts or truth values.
        lengths: [B] valid steps of each row of a tensor; None: all T.
        classes: whether labels are classes; None: texts and truth values are, numbers are not.
        pool: the state that stands for a sequence that has one label: "last" or "first" step (the one at which a
            reverse layer ends), "mean" or "max".
        permutations: 1 or more.
        turn: of a signal, also begin each sequence's at a random step, its end joined to its beginning. For one long
            sequence, and for a course that all sequences share, which dealing leaves as it is. p then holds for signals
            that do not drift; for drifting ones it is too small.
        seed: of the deals.

    Raises:
        UsageError: shapes that do not fit; a value that is not finite; labels that are the same everywhere; fewer than
            3 sequences, unless a signal is turned.

    Source:
        Radford, Jozefowicz & Sutskever 2017, "Learning to generate reviews and discovering sentiment"; Westfall & Young
        1993, "Resampling-based multiple testing", for the largest statistic of each permutation.
    """
    if permutations < 1:
        raise UsageError(f"permutations is {permutations}; 1 or more are needed")
    rows = rows_of(states, lengths)
    signal = signal_of(labels, rows, classes)
    if len(rows) < 3 and not (signal.by_step and turn):
        raise UsageError(
            f"{len(rows)} sequences cannot be dealt anew; 3 or more are needed, or of a signal over steps turn=True"
        )
    units = unit_columns(beside(rows, signal, pool))  # [N, H]
    found = associations(units, signal.flat[:, None], signal.kinds)[0]  # [H]
    chance = _largest_by_chance(units, signal, permutations, turn, np.random.default_rng(seed))  # [P]
    as_strong = (chance[:, None] >= np.abs(found) - ROUNDING).sum(0)
    return Tracking(
        torch.from_numpy(found),
        torch.from_numpy((1 + as_strong) / (1 + permutations)),
        "pearson" if not signal.kinds else "point-biserial" if signal.kinds == 2 else "correlation ratio",
        signal.classes,
        len(rows),
        len(units),
        permutations,
    )


def unit_columns(values: Floats) -> Floats:
    """Every column with mean 0 and length 1; a column that never moves becomes 0."""
    centred = values - values.mean(0)
    lengths = np.linalg.norm(centred, axis=0)
    scale = np.abs(values).max(0, initial=0.0) * len(values) ** 0.5
    return np.where(lengths > ROUNDING * scale, centred / np.where(lengths > 0, lengths, 1), 0.0)


def associations(units: Floats, signals: Floats, kinds: int) -> Floats:
    """How strongly units [N, H] go with each of P signals [N, P]: [P, H]; signed but for more than two classes.

    Args:
        units: as `unit_columns` gives them.
        kinds: the number of classes, whose places the signals hold; 0 for numbers.
    """
    if kinds <= 2:
        return unit_columns(signals).T @ units  # of two classes, the places 0 and 1 are the numbers
    found = []
    for places in signals.T:
        members = places[:, None] == np.arange(kinds)  # [N, K]
        counts = np.maximum(members.sum(0), 1)
        found.append((((members.T @ units) ** 2) / counts[:, None]).sum(0) ** 0.5)
    return np.array(found)


def _largest_by_chance(
    units: Floats, signal: Signal, permutations: int, turn: bool, random: np.random.Generator
) -> Floats:
    """The largest association of any unit in each deal, [P]."""
    size = max(1, AT_ONCE // len(units))
    found = []
    for start in range(0, permutations, size):
        dealt = [signal.dealt(random, turn=turn) for _ in range(min(size, permutations - start))]
        found.append(np.abs(associations(units, np.stack(dealt, 1), signal.kinds)).max(1, initial=0.0))
    return np.concatenate(found)
