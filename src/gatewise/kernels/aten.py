"""PyTorch's own layers: its C++ loop and oneDNN's LSTM on a CPU, cuDNN on a GPU."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import _VF as VF  # what torch.nn calls; torch.lstm has no type
from torch import Tensor
from torch.nn import functional as F

from gatewise.kernels.ragged import layout
from gatewise.kernels.weights import Result, Weights

_FUNCTIONS = {"lstm": VF.lstm, "gru": VF.gru, "rnn_tanh": VF.rnn_tanh, "rnn_relu": VF.rnn_relu}

Dense = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""A run over a dense block: (x [T, B, I], h0 [B, P], c0 [B, H] or None) -> h_seq [T, B, P], h_n, c_n."""


def dense(cell: str, weights: Weights, *, reverse: bool, train: bool) -> Dense:
    """PyTorch's function for one layer in one direction; `train` keeps what autograd needs on a GPU."""

    def run(x: Tensor, h0: Tensor, c0: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        state = h0[None] if c0 is None else (h0[None], c0[None])
        has_biases = weights.b_ih is not None
        x = x.flip(0) if reverse else x
        if weights.w_hr is not None:
            _spend_projection_warning()
        # one layer, dropout 0, train, one direction, time first
        out = _FUNCTIONS[cell](x, state, weights.tensors(), has_biases, 1, 0.0, train, False, False)
        h_seq = out[0].flip(0) if reverse else out[0]
        return h_seq, out[1][0], None if c0 is None else out[2][0]

    return run


@cache
def _spend_projection_warning() -> None:
    """Use up PyTorch's one warning a process that oneDNN has no projection: a user can do nothing about it."""
    one = torch.zeros(1, 1, 1)
    weights = [torch.zeros(8, 1), torch.zeros(8, 1), torch.zeros(1, 2)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
        VF.lstm(one, (one, torch.zeros(1, 1, 2)), weights, False, 1, 0.0, False, False, False)


def run_segments(
    run: Dense, x: Tensor, h0: Tensor, c0: Tensor | None, lengths: Tensor, *, reverse: bool
) -> Result:
    """A ragged batch: one dense call for each segment of time in which the same rows run."""
    T, B = x.shape[:2]
    plan = layout(lengths, T, B)
    x, h = plan.sort(x, 1), plan.sort(h0, 0).clone()  # a batch of empty rows returns a copy, not its argument
    c = None if c0 is None else plan.sort(c0, 0).clone()
    blocks: list[Tensor] = []
    for start, stop, rows in reversed(plan.segments) if reverse else plan.segments:
        out, h_n, c_n = run(x[start:stop, :rows], h[:rows], None if c is None else c[:rows])
        blocks.append(F.pad(out, (0, 0, 0, B - rows)))
        h = torch.cat((h_n, h[rows:]))
        c = None if c is None or c_n is None else torch.cat((c_n, c[rows:]))
    if reverse:
        blocks.reverse()
    last = plan.segments[-1].stop if plan.segments else 0
    h_seq = torch.cat((*blocks, h0.new_zeros(T - last, *h0.shape)))  # [T, B, P]
    return Result(plan.unsort(h_seq, 1), None, plan.unsort(h, 0), None if c is None else plan.unsort(c, 0))


def run(
    run_dense: Dense, x: Tensor, h0: Tensor, c0: Tensor | None, lengths: Tensor | None, *, reverse: bool
) -> Result:
    """A batch with or without lengths; c_seq is not computed (None)."""
    if lengths is not None:
        return run_segments(run_dense, x, h0, c0, lengths, reverse=reverse)
    h_seq, h_n, c_n = run_dense(x, h0, c0)
    return Result(h_seq, None, h_n, c_n)


class OutputGrads(NamedTuple):
    """Gradients of the outputs that PyTorch's layers have; None where an output has none."""

    h_seq: Tensor | None
    h_n: Tensor | None
    c_n: Tensor | None


def backward_by_rerun(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None,
    grads: OutputGrads,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor | None, list[Tensor]]:
    """Gradients of x, h0, c0 and the weights by running the layer once more under autograd.

    On a GPU one more fused run costs less than a sweep of small kernels. `grads` holds the gradients of h_seq,
    h_n and c_n, None where there is none.
    """
    with torch.enable_grad():
        leaves = [
            t.detach().requires_grad_() for t in (x, h0, *([] if c0 is None else [c0]), *weights.tensors())
        ]
        x, h0, *rest = leaves
        c0, flat = (None, rest) if c0 is None else (rest[0], rest[1:])
        again = run(
            dense(cell, weights.replaced(flat), reverse=reverse, train=True),
            x,
            h0,
            c0,
            lengths,
            reverse=reverse,
        )
        pairs = [
            (y, g) for y, g in ((again.h_seq, grads.h_seq), (again.h_n, grads.h_n), (again.c_n, grads.c_n))
            if y is not None and g is not None and y.requires_grad
        ]  # fmt: skip
        found = torch.autograd.grad(
            [y for y, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True, materialize_grads=True
        )
    dx, dh0, *rest = found
    dc0, dw = (None, rest) if c0 is None else (rest[0], rest[1:])
    return dx, dh0, dc0, dw
