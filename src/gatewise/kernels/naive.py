"""The definition of a run over a sequence: the cell, unrolled in Python.

Plain autograd runs through it, so every dtype and every order of derivative works. All other backends are tested
against it, and it against an oracle in NumPy.
"""

import torch
from torch import Tensor

from gatewise.cells import CELLS
from gatewise.kernels.ragged import padding
from gatewise.kernels.weights import Result, Weights


def unroll(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
) -> Result:
    """Run a cell over a sequence, step by step; see `gatewise.kernels.recurrence` for arguments and shapes."""
    kind = CELLS[cell]
    T = x.shape[0]
    projection = () if weights.w_hr is None else (weights.w_hr,)
    if lengths is not None:
        # Before the first step, not after it: `where` keeps a NaN out of the values but not out of the gradients.
        x = x.masked_fill(padding(lengths, T), 0)
    state = tuple(s.clone() for s in (h0, c0) if s is not None)
    outputs: list[tuple[Tensor, ...]] = [()] * T  # what each step left: (h,) or (h, c), each [B, *]
    for t in reversed(range(T)) if reverse else range(T):
        step = kind.step(x[t], *state, *weights[:4], *projection)
        new = (step.h, step.c) if kind.has_c else (step.h,)
        if lengths is None:
            state = outputs[t] = new
        else:
            valid = (lengths > t)[:, None]  # [B, 1]
            state = tuple(torch.where(valid, n, s) for n, s in zip(new, state, strict=True))
            outputs[t] = tuple(torch.where(valid, n, torch.zeros_like(n)) for n in new)
    # [T, B, P] and [T, B, H]
    sequences = [torch.stack(o) for o in zip(*outputs, strict=True)] if T else [s[None][:0] for s in state]
    h_seq, *c_seq = sequences
    h_n, *c_n = state
    return Result(h_seq, c_seq[0], h_n, c_n[0]) if kind.has_c else Result(h_seq, None, h_n, None)
