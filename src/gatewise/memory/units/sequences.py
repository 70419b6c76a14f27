"""States of a corpus as they are given, and as one array a sequence."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError

Floats = NDArray[np.float64]
States = Tensor | Sequence[Tensor]
"""[T, B, H] with lengths, or one [T, H] a sequence."""


def rows_of(states: States, lengths: Tensor | Sequence[int] | None = None) -> list[Floats]:
    """One [T, H] float64 array a sequence, its valid steps alone.

    Raises:
        UsageError: another shape, a length that the steps do not have, no sequence, a sequence without steps, or a
            number that is not finite.
    """
    rows = _cut(states, lengths) if isinstance(states, Tensor) else _listed(states, lengths)
    if not rows:
        raise UsageError("there is no sequence in the states")
    for number, row in enumerate(rows):
        if not len(row):
            raise UsageError(f"sequence {number} of the states has no step")
        if not np.isfinite(row).all():
            step, unit = np.argwhere(~np.isfinite(row))[0]
            raise UsageError(
                f"the states hold {row[step, unit]} (sequence {number}, step {step}, unit {unit})"
            )
    return rows


def _cut(states: Tensor, lengths: Tensor | Sequence[int] | None) -> list[Floats]:
    if states.dim() != 3:
        raise UsageError(
            f"the states have shape {tuple(states.shape)}; they take [T, B, H], or one [T, H] a sequence"
        )
    steps, batch, _ = states.shape
    valid = torch.full((batch,), steps) if lengths is None else torch.as_tensor(lengths).cpu()
    if valid.shape != (batch,) or valid.is_floating_point() or bool(((valid < 0) | (valid > steps)).any()):
        raise UsageError(f"lengths are {_short(valid)}; {batch} whole numbers from 0 to {steps} are needed")
    by_row = states.detach().double().cpu().transpose(0, 1).numpy()  # [B, T, H]
    return [row[:length] for row, length in zip(by_row, valid.tolist(), strict=True)]


def _short(lengths: Tensor) -> str:
    return (
        f"{lengths.tolist()}"
        if lengths.dim() == 1 and len(lengths) < 9
        else f"of shape {tuple(lengths.shape)}"
    )


def _listed(states: Sequence[Tensor], lengths: Tensor | Sequence[int] | None) -> list[Floats]:
    if lengths is not None:
        raise UsageError("lengths are given beside one array a sequence, which has its own")
    rows = [torch.as_tensor(row).detach().double().cpu().numpy() for row in states]
    for number, row in enumerate(rows):
        if row.ndim != 2 or row.shape[1] != rows[0].shape[1]:
            units = rows[0].shape[1] if rows[0].ndim == 2 else "H"
            raise UsageError(f"sequence {number} of the states has shape {row.shape}; [T, {units}] is needed")
    return rows
