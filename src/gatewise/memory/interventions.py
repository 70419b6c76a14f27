"""What can be done to a layer while it runs: clamp a state, hold a gate, erase what steps wrote."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import UsageError, UsageTypeError
from gatewise.memory.places import Key

Which = int | slice | Sequence[int] | None
"""Which units, rows or steps: one, a slice, several, or (None) all. They count from 0."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Intervention:
    """Where and when: what `Clamp`, `Hold` and `Erase` have in common.

    Attributes:
        path: of the layer's module in the model; None where the model holds only one.
        layer: k, or (k, "reverse"), as in a trace.
        units: of 0..H-1; for h of a projected layer of 0..P-1.
        rows: of the batch.
        steps: time indices of one call, also in the reverse direction. Steps beyond a row's length do not run and are
            not changed.
    """

    path: str | None = None
    layer: Key = 0
    units: Which = None
    rows: Which = None
    steps: Which = None


@dataclass(frozen=True, eq=False)
class Clamp(Intervention):
    """Put `value` in the place of units of a state, "c" or "h", at the end of a step.

    Args:
        state: "c" (LSTM) or "h".
        value: a number, or a tensor that broadcasts to [rows, units], or to [T, rows, units] for a value a step. It
            may require a gradient.
    """

    state: str
    value: float | Tensor


@dataclass(frozen=True, eq=False)
class Hold(Intervention):
    """Put `value` in the place of a gate: 1 holds it open, 0 shut.

    Args:
        gate: "i", "f", "g" or "o" of an LSTM, "r", "z" or "n" of a GRU.
        value: as in `Clamp`, within the gate's range: from 0 to 1, for g and n from -1 to 1.
    """

    gate: str
    value: float | Tensor


@dataclass(frozen=True, eq=False)
class Erase(Intervention):
    """Take what `steps` wrote out of the memory, c of an LSTM or h of a GRU.

    Of a write i⊙g (GRU: (1-z)⊙n) there is left at a later step what the gates f (z) have let stand; that is taken out,
    and nothing else.

    Args:
        at: the step at whose end it is taken out, not before the last of `steps` in the order in which they run; None:
            each write at once, so that it never stands in memory.
    """

    at: int | None = None


def chosen(label: str, what: str, which: Which, size: int) -> list[int]:
    """The indices that `which` names of `size` units, rows or steps.

    Raises:
        UsageTypeError: it is no whole numbers.
        UsageError: one that does not exist or is named twice; none at all.
    """
    if which is None:
        return list(range(size))
    if isinstance(which, slice):
        ends = [end for end in (which.start, which.stop) if end is not None]
        _check_whole(label, what, [*ends, 1 if which.step is None else which.step], which)
        if any(end < 0 for end in ends) or (which.step or 1) < 1:
            raise UsageError(f"{label}: {what}={which} counts from the end; {what} count from 0 upward")
        found = list(range(size)[which])
    else:
        found = list(which) if isinstance(which, Sequence) else [which]
        _check_whole(label, what, found, which)
        wrong = next((k for k in found if not 0 <= k < size), None)
        if wrong is not None:
            raise UsageError(
                f"{label}: there is no {what[:-1]} {wrong} among {size} {what}, which count from 0"
            )
        twice = next((k for n, k in enumerate(found) if k in found[:n]), None)
        if twice is not None:
            raise UsageError(f"{label}: {what} name {what[:-1]} {twice} twice")
    if not found:
        raise UsageError(f"{label}: {what}={which} names none of the {size} {what}")
    return found


def _check_whole(label: str, what: str, numbers: Sequence[object], which: object) -> None:
    if not all(type(n) is int for n in numbers):
        raise UsageTypeError(
            f"{label}: {what}={which!r}; it takes a whole number, a slice, several whole numbers, or None for all"
        )


def check_gate_value(label: str, hold: Hold) -> None:
    """Raise a UsageError unless the value lies in the gate's range."""
    low = -1 if hold.gate in ("g", "n") else 0
    value = torch.as_tensor(hold.value).detach()
    if bool(((value >= low) & (value <= 1)).all()):
        return
    outside = value[~((value >= low) & (value <= 1))].flatten()[0].item()
    raise UsageError(f"{label}: {hold.gate} is held at {outside:g}; it lies between {low} and 1")
