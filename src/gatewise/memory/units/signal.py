"""What units may track: a label for each sequence, or a signal with a value at each step; numbers or classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.units.sequences import Floats

Pool = Literal["last", "first", "mean", "max"]
POOLS = {
    "last": lambda row: row[-1],
    "first": lambda row: row[0],
    "mean": lambda row: row.mean(0),
    "max": lambda row: row.max(0),
}


@dataclass(frozen=True, eq=False)
class Signal:
    """What is to be tracked, laid beside the states.

    Attributes:
        values: one array a sequence, [1] of a label or [T] of a signal; numbers, or the places of the classes.
        classes: their names, sorted; None for numbers.
        by_step: whether it is a signal with a value at each step.
    """

    values: list[Floats]
    classes: list[Any] | None
    by_step: bool

    @property
    def kinds(self) -> int:
        """The number of classes; 0 for numbers."""
        return 0 if self.classes is None else len(self.classes)

    @property
    def flat(self) -> Floats:
        """The values of all sequences behind one another, [N]."""
        return np.concatenate(self.values)

    def dealt(self, random: np.random.Generator, *, turn: bool = False) -> Floats:
        """The values dealt anew among the sequences, [N]: what the signal would look like if no unit tracked it.

        Sequences are dealt whole, for the steps of one are not independent of each other. What is dealt to a sequence
        of another length is cut, or repeated from its beginning.

        Args:
            turn: also begin each sequence's signal at a random step, its end joined to its beginning.
        """
        order = random.permutation(len(self.values))
        if not self.by_step:
            return self.flat[order]
        lengths = [len(row) for row in self.values]
        starts = [int(random.integers(lengths[k])) if turn else 0 for k in order]
        return np.concatenate(
            [
                self.values[k][(start + np.arange(length)) % lengths[k]]
                for k, start, length in zip(order, starts, lengths, strict=True)
            ]
        )


def signal_of(given: Any, rows: list[Floats], classes: bool | None) -> Signal:
    """The signal as the user gives it, laid beside the states `rows`.

    Raises:
        UsageError: another number of labels or steps than of sequences; a value that is not finite, or the same
            everywhere; numbers that are no numbers.
    """
    nested = _nested(given)
    by_step = any(isinstance(one, np.ndarray) for one in nested)
    if len(nested) != len(rows):
        raise UsageError(f"there are {len(rows)} sequences of states and {len(nested)} of labels")
    parts = [np.atleast_1d(np.asarray(one)) for one in nested]
    if by_step:
        parts = [
            _fitted(part, row, number) for number, (part, row) in enumerate(zip(parts, rows, strict=True))
        ]
    flat = np.concatenate(parts)
    as_classes = flat.dtype.kind not in "iuf" if classes is None else classes
    names = sorted(set(flat.tolist()), key=str) if as_classes else None
    flat = _places(flat, names) if names is not None else _numbers(flat)
    if (flat == flat[0]).all():
        raise UsageError(
            f"every label is {names[0] if names else flat[0].item()!r}, so there is nothing to track"
        )
    return Signal(np.split(flat, np.cumsum([len(part) for part in parts])[:-1]), names, by_step)


def _nested(given: Any) -> list[Any]:
    """A value, or an array of values, a sequence; a tensor [T, B] by its columns."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    if isinstance(given, np.ndarray):
        if given.ndim not in (1, 2):
            raise UsageError(
                f"the labels have shape {given.shape}; they take [B], or [T, B] for a value at each step"
            )
        return list(given) if given.ndim == 1 else [np.ascontiguousarray(column) for column in given.T]
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise UsageError(f"the labels are a {type(given).__name__}; one a sequence is needed, or one a step")
    return [
        np.asarray(one.detach().cpu() if isinstance(one, Tensor) else one)
        if isinstance(one, Tensor | np.ndarray | list | tuple) and np.ndim(one)
        else one
        for one in given
    ]


def _fitted(part: NDArray[Any], row: Floats, number: int) -> NDArray[Any]:
    """The values of the steps that the row has; beyond them there may be padding."""
    if part.ndim != 1 or len(part) < len(row):
        raise UsageError(f"sequence {number} has {len(row)} steps, and its signal has shape {part.shape}")
    return part[: len(row)]


def _places(flat: NDArray[Any], names: list[Any]) -> Floats:
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[value] for value in flat.tolist()], np.float64)


def _numbers(flat: NDArray[Any]) -> Floats:
    try:
        numbers = flat.astype(np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            f"the label {flat[0].item()!r} is no number; classes=True takes labels as classes"
        ) from None
    if not np.isfinite(numbers).all():
        raise UsageError(
            f"label {int(np.argmin(np.isfinite(numbers)))} is {numbers[~np.isfinite(numbers)][0]}"
        )
    return numbers


def beside(rows: list[Floats], signal: Signal, pool: Pool) -> Floats:
    """The states that stand beside the signal's values, [N, H]: every step's, or one a sequence, pooled."""
    if pool not in POOLS:
        raise UsageError(f"pool is {pool!r}; it can be {', '.join(map(repr, POOLS))}")
    return np.concatenate(rows) if signal.by_step else np.stack([POOLS[pool](row) for row in rows])
