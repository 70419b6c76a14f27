"""What a layer's steps started from, and what its gates make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatewise.cells.layer_norm import layer_norm
from gatewise.kernels.product import product
from gatewise.kernels.ragged import last_steps
from gatewise.kernels.replay import shifted

if TYPE_CHECKING:
    from gatewise.memory.layer_trace import LayerTrace


def before(
    states: Tensor, initial: Tensor, lengths: Tensor | None, borders: Tensor | None, *, reverse: bool
) -> Tensor:
    """The state that each step started from, [T, B, *]: zeros where a segment begins."""
    first = last_steps(lengths, len(states)) if reverse and lengths is not None else None
    found = shifted(states, initial, first, reverse)
    return found if borders is None else found.masked_fill(borders[..., None], 0)


def seen_of_c(lt: LayerTrace, dtype: torch.dtype) -> Tensor:
    """What the read h = o⊙tanh(·) of an LSTM sees of the cell state: c, or under layer_norm n_c⊙LN(c) + b_c."""
    assert lt.c is not None
    c = lt.c.to(dtype)
    if lt.norm_c is None:
        return c
    return layer_norm(c, lt.norm_c.to(dtype), None if lt.norm_c_bias is None else lt.norm_c_bias.to(dtype))


def h_of_gates(lt: LayerTrace) -> Tensor:
    """The h [T, B, P] that the gates give; the trace's own for a plain RNN, whose gate is h."""
    if not lt.gates:
        return lt.h
    old = before(lt.h, lt.h0, lt.full_lengths(), lt.borders, reverse=lt.reverse)
    if lt.c is None:
        return torch.lerp(lt.n, old, lt.z)  # (1-z)⊙n + z⊙h_{t-1}
    read = lt.o * seen_of_c(lt, lt.o.dtype).tanh()
    read = read if lt.w_hr is None else product(read, lt.w_hr)
    kept = lt.kept("h")
    return read if kept is None else kept * old + (1 - kept) * read


@torch.no_grad()
def residual_of(lt: LayerTrace) -> float:
    """The largest difference, over the valid steps, between the h that the gates give and the layer's own."""
    error = (h_of_gates(lt) - lt.h).masked_fill(~lt.valid()[..., None], 0)
    return float(error.abs().max()) if error.numel() else 0.0
