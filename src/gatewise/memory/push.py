"""Held and push: how much of each step's write the answer still reads, and how far it moved the answer.

Both belong to the step that wrote. In a second layer or a reverse direction a write at one step may carry
another step's content.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.cells.layer_norm import EPSILON
from gatewise.errors import UsageError
from gatewise.memory.additive import (
    Additive,
    additive,
    at_steps,
    finite_max,
    one_hot,
    read_back,
    refuse_zoned_h,
)
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.states import seen_of_c


class PushLedger(NamedTuple):
    """An answer as a sum over steps: push.sum(0) + initial + bias = readout (the bias of the head apart).

    Shape: push [T, B]; initial [B], what the initial state pushed; readout [B] = Σ_t (a_t⊙v)·h_t, computed
    directly; bias [B], what the read's own bias adds under layer_norm, else 0. residual: the largest difference between
    the two.
    """

    push: Tensor
    initial: Tensor
    readout: Tensor
    residual: float
    bias: Tensor


def held(lt: LayerTrace, weights: Tensor | None = None) -> Tensor:
    """How much of what each step wrote is still in the memory that the answer reads, as shares of a row.

    `Σ_j |A_s·written_s|_j` over the row's sum, where A_s is the retention up to the reading steps, weighted
    by how much the answer reads there: `A_s = a_s + f_{s+1}⊙A_{s+1}` (GRU: z in place of f).

    Args:
        lt: an LSTM or GRU trace.
        weights: how the answer reads the hidden states: None (the last state), [T, B], or [T, B, P] (per
            unit, as max pooling does); at least 0. With a projection each cell unit is read by all P units, so it
            takes their mean weight.

    Returns:
        [T, B] in the trace's dtype; each row sums to 1 over its valid steps, or is 0 where nothing was
        written.

    Raises:
        UsageError: a plain RNN; zoneout on h; weights of another shape, or negative.
    """
    refuse_zoned_h(lt)
    memory = additive(lt)
    a = _reading_weights(lt, weights)  # [T, B, 1 | P]
    if (a < 0).any():
        raise UsageError(
            f"{lt.label}: held takes weights of at least 0, and the least here is {float(a.min()):g}"
        )
    if lt.w_hr is not None:
        a = a.mean(dim=-1, keepdim=True)
    reach, _ = read_back(lt, memory.keep, a.expand(memory.keep.shape))
    mass = (reach * memory.written).abs().sum(-1)  # [T, B]
    total = mass.sum(0)
    return (mass / torch.where(total > 0, total, 1.0)).to(lt.h.dtype)


def push(lt: LayerTrace, weights: Tensor | None, direction: Tensor) -> Tensor:
    """How far each step's write moved the answer, and which way: [T, B]. See `push_ledger`."""
    return push_ledger(lt, weights, direction).push


def push_ledger(lt: LayerTrace, weights: Tensor | None, direction: Tensor) -> PushLedger:
    """The answer `Σ_t (a_t⊙v)·h_t` as the sum of what each step's write pushed it, exactly.

    `push_s = Σ_j written_s⊙Q_s` with `Q_s = q_s + f_{s+1}⊙Q_{s+1}` and `q_t = a_t⊙v⊙o_t⊙tanh(c_t)/c_t`; GRU:
    `q_t = a_t⊙v` and z in place of f; projection: `W_hr^T (a_t⊙v)` in place of `a_t⊙v`.

    Under layer_norm the read is `o⊙tanh(u)` of `u = n⊙(c - mean c)/σ + b`. With σ as it was, u is linear in c, so with
    `p = a_t⊙v⊙o_t⊙tanh(u_t)/u_t`: `q_t = (n⊙p - mean(n⊙p))/σ_t`, and `Σ_t Σ_j p⊙b` belongs to no step: the bias.

    Args:
        lt: an LSTM or GRU trace.
        weights: a as in `held`; may be negative here.
        direction: v [P], or [B, P], a different one for each row.

    Some rows are taken at a time, so that the same memory is used again; to touch new memory for the whole batch can
    take half as long again as the arithmetic.

    Raises:
        UsageError: a plain RNN; zoneout on h; a wrong shape.
    """
    steps, batch, _ = lt.h.shape
    some = max(1, _AT_ONCE // max(1, steps * lt.content_shape[2]))
    fits = (weights is None or weights.shape[:2] == (steps, batch)) and direction.shape[:-1] in ((), (batch,))
    if batch <= some or not fits:  # what does not fit is refused below
        return _of_rows(lt, weights, direction)
    parts = [
        _of_rows(
            lt.rows(rows),
            None if weights is None else weights[:, rows],
            direction if direction.dim() == 1 else direction[rows],
        )
        for rows in (slice(first, first + some) for first in range(0, batch, some))
    ]
    pushed, initial, readout, residuals, biases = zip(*parts, strict=True)
    return PushLedger(
        torch.cat(pushed, 1), torch.cat(initial), torch.cat(readout), max(residuals), torch.cat(biases)
    )


_AT_ONCE = 524_288
"""Numbers of a tensor [T, rows, H], about; 4 megabytes in float64."""


def _of_rows(lt: LayerTrace, weights: Tensor | None, direction: Tensor) -> PushLedger:
    read = reach(lt, weights, direction)
    memory, v = read.memory, read.direction
    pushed = (read.reach * memory.written).sum(-1)  # [T, B]
    # A row without steps is read at its initial state, and only when the last state is read.
    unread = (lt.full_lengths() == 0) & (weights is None)
    from_h0 = torch.where(unread, (lt.h0.double() * v).sum(-1), 0.0)
    initial = (read.initial * memory.initial).sum(-1) + from_h0  # [B]
    readout = (read.reading * lt.h).sum((0, 2)) + from_h0
    residual = finite_max(pushed.sum(0) + initial + read.bias - readout)
    dtype = lt.h.dtype
    return PushLedger(pushed.to(dtype), initial.to(dtype), readout.to(dtype), residual, read.bias.to(dtype))


class Reach(NamedTuple):
    """What a write is worth to the answer; all float64.

    Shape: reach Q [T, B, H]; initial, the same for the initial state, [B, H]; reading a⊙v [T, B, P], zero beyond the
    lengths; direction v [P] or [B, P]; bias [B], what is read of no write.
    """

    memory: Additive
    reach: Tensor
    initial: Tensor
    reading: Tensor
    direction: Tensor
    bias: Tensor


def reach(lt: LayerTrace, weights: Tensor | None, direction: Tensor) -> Reach:
    """`Q_s = q_s + f_{s+1}⊙Q_{s+1}` of `push_ledger`, which has the arguments and errors."""
    refuse_zoned_h(lt)
    memory = additive(lt)
    batch, size = lt.h.shape[1:]
    if direction.shape not in ((size,), (batch, size)):
        raise UsageError(
            f"{lt.label}: direction has shape {tuple(direction.shape)}; "
            f"it takes [{size}] or [{batch}, {size}]"
        )
    v = direction.to(lt.h.device, torch.float64)
    reading = _reading_weights(lt, weights) * v  # [T, B, P]
    of_memory, bias = _through_the_read(lt, reading) if lt.cell == "lstm" else (reading, None)
    bias = reading.new_zeros(batch) if bias is None else bias
    return Reach(memory, *read_back(lt, memory.keep, of_memory), reading, v, bias)


def _through_the_read(lt: LayerTrace, reading: Tensor) -> tuple[Tensor, Tensor | None]:
    """What a reading [T, B, P] of an LSTM's h is as a reading q of c, [T, B, H], and the bias [B] that it leaves."""
    of_read = reading if lt.w_hr is None else reading @ lt.w_hr.double()  # [T, B, H]
    of_read = (of_read * lt.o).mul_(tanh_ratio(seen_of_c(lt, torch.float64)))
    if lt.norm_c is None or lt.c is None:
        return of_read, None
    scaled = of_read * lt.norm_c.double()
    deviation = (lt.c.double().var(-1, correction=0, keepdim=True) + EPSILON).sqrt()
    bias = None if lt.norm_c_bias is None else (of_read * lt.norm_c_bias.double()).sum((0, 2))
    return (scaled - scaled.mean(-1, keepdim=True)) / deviation, bias


def _reading_weights(lt: LayerTrace, weights: Tensor | None) -> Tensor:
    """a in float64, zero beyond the lengths: [T, B, 1 | P]."""
    if weights is None:
        return one_hot(lt, at_steps(lt, -1))
    shape = tuple(lt.h.shape)
    if weights.shape not in (shape[:2], shape):
        raise UsageError(
            f"{lt.label}: weights have shape {tuple(weights.shape)}; "
            f"they take {list(shape[:2])} or {list(shape)}"
        )
    a = weights.to(lt.h.device, torch.float64)
    a = a if a.dim() == 3 else a[..., None]
    return a.masked_fill(~lt.valid()[..., None], 0)


def tanh_ratio(c: Tensor) -> Tensor:
    """tanh(c)/c, and 1 at 0; in a graph by its series near 0, for there the quotient's gradient cancels."""
    if not c.requires_grad:
        return c.tanh().div_(c).masked_fill_(c == 0, 1)
    near = c.abs() < 1e-4  # the next term of the series, 2c⁴/15, is below the float64 rounding there
    safe = torch.where(near, 1.0, c)
    return torch.where(near, 1 - c * c / 3, torch.tanh(safe) / safe)
