"""A whole sequence at speed: one layer, one direction, any backend."""

from contextlib import nullcontext

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.kernels import operator
from gatewise.kernels.naive import unroll
from gatewise.kernels.registry import Call, Choice, backend, choose, describe
from gatewise.kernels.replay import Replay, replay
from gatewise.kernels.weights import Result, Weights

__all__ = [
    "Call",
    "Choice",
    "Replay",
    "Result",
    "Weights",
    "autocast_dtype",
    "backend",
    "choose",
    "describe",
    "recurrence",
    "replay",
]


def autocast_dtype(device: str) -> torch.dtype | None:
    """What autocast casts to on this kind of device, None where it is off or does not exist."""
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def recurrence(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    keep_c: bool = False,
) -> Result:
    """Run one layer in one direction over a sequence, with the backend that the registry chooses.

    Args:
        cell: a name of `gatewise.cells.CELLS`.
        x: input [T, B, I].
        h0: initial hidden state [B, P].
        c0: initial cell state [B, H] for an LSTM, else None.
        weights: of this layer and direction.
        lengths: [B] int64 on x's device, 0 <= length <= T; None when all rows have T steps. Output rows beyond a
            length are zero and the final state is the state at the length, for length 0 the initial state.
        reverse: run each row from its own last step to its first; outputs stand at their own time index.
        keep_c: return c_seq, with a gradient; else it may be None.

    Returns: h_seq [T, B, P], c_seq [T, B, H] or None, h_n [B, P], c_n [B, H] or None.

    Raises:
        UsageError: dtypes differ; a forced backend cannot run the call.
    """
    dtype = autocast_dtype(x.device.type)
    if dtype is not None:
        x, h0, weights = x.to(dtype), h0.to(dtype), weights.to(dtype)
        c0 = None if c0 is None else c0.to(dtype)
    for name, tensor in (("x", x), ("h0", h0), ("c0", c0)):
        if tensor is not None and tensor.dtype != weights.w_ih.dtype:
            raise UsageError(f"{name} is {tensor.dtype}; this layer's weights are {weights.w_ih.dtype}")
    chosen = choose(describe(cell, x, weights)).backend
    with nullcontext() if dtype is None else torch.autocast(x.device.type, enabled=False):
        if chosen == "naive":
            return unroll(cell, x, h0, c0, weights, lengths, reverse=reverse)
        return operator.run(cell, x, h0, c0, weights, lengths, reverse=reverse, keep=keep_c)
