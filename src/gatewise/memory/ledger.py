"""The ledger: what is in memory at one step, and which step wrote it; an exact sum.

The contributions say who wrote what is in memory, with the gates as they were. The later gates also depend on
the earlier inputs; the ledger does not follow that second way.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.additive import additive, at_steps, finite_max, kept_by_step, one_hot, read_back
from gatewise.memory.layer_trace import LayerTrace


class Ledger(NamedTuple):
    """Memory at one step as a sum: contributions over s, plus initial.

    Shape: contributions [T, B, H], zero at the steps after the target; initial [B, H]. residual: the largest
    difference between the sum and the memory of the trace.
    """

    contributions: Tensor
    initial: Tensor
    residual: float


def retention(lt: LayerTrace, at: int | Tensor = -1) -> Tensor:
    """R[at, s], the share of what stood in memory at step s that is still there at step `at`.

    `R[t, s] = Π_{r=s+1..t} f_r` (GRU: z in place of f); 1 at s = t, 0 after it. In the reverse direction
    later means a smaller time index. Zoneout on c that keeps the share m of a unit's old value at step r (in training 0
    or 1, in eval its probability) has m_r + (1-m_r)⊙f_r in place of f_r. R is 0 over the beginning of a segment.

    Args:
        lt: an LSTM or GRU trace.
        at: the target step: a time index, the same for all rows, or [B], or [B, H] int64; negative numbers
            count from each row's last processed step, -1 being that step.

    Returns:
        [T, B, H] in the trace's dtype; the initial state's share is not in it.

    Raises:
        UsageError: a plain RNN; a step that a row does not have.
    """
    memory = additive(lt)
    reading = one_hot(lt, at_steps(lt, at)).expand(memory.keep.shape)
    return read_back(lt, memory.keep, reading)[0].to(lt.h.dtype)


def ledger(lt: LayerTrace, at: int | Tensor = -1) -> Ledger:
    """Memory at step `at` (c of an LSTM, h of a GRU) as the sum of what each step wrote into it.

    LSTM: `c_t = Σ_s R[t,s]⊙i_s⊙g_s + R[t,0]⊙c_0`. GRU: `h_t = Σ_s R[t,s]⊙(1-z_s)⊙n_s + R[t,0]⊙h_0`. Under zoneout on
    c, R and what is written are those of `retention`; what was there before a segment began is exactly 0. The sums are
    taken in float64. Arguments and errors as in `retention`.
    """
    memory = additive(lt)
    steps = at_steps(lt, at)  # [B, 1 | H]
    target = one_hot(lt, steps)
    shares, share0 = read_back(lt, memory.keep, target.expand(memory.keep.shape))
    share0 = torch.where(steps < 0, 1.0, share0)  # a row without steps still holds its initial state
    contributions = shares * memory.written  # [T, B, H]
    initial = share0 * memory.initial  # [B, H]
    content = torch.where(steps < 0, memory.initial, (target * memory.content).sum(0))
    residual = finite_max(contributions.sum(0) + initial - content)
    dtype = lt.h.dtype
    return Ledger(contributions.to(dtype), initial.to(dtype), residual)


def memory_age(lt: LayerTrace, at: int | Tensor = -1) -> Tensor:
    """The mean age of what a GRU or a coupled LSTM holds at step `at`, in steps: `Σ_s (t-s) w_s`, [B, H].

    The weights `w_s = (1-z_s) Π_{r>s} z_r` with the initial state's `w_0 = Π z_r` are shares that sum to 1 (coupled
    LSTM: f in place of z); the initial state counts as written one step before the first, and so do the zeros that a
    segment begins with.

    Raises:
        UsageError: neither a GRU nor a coupled LSTM; a step that a row does not have.
    """
    if lt.cell not in ("gru", "gru_reset_before") and not lt.variant.coupled:
        raise UsageError(
            f"{lt.label}: the mean age of memory is defined for a GRU and a coupled LSTM, not for a {lt.cell}"
        )
    steps = at_steps(lt, at)  # [B, 1 | H]
    let_stand, keep = kept_by_step(lt), additive(lt).keep
    shares, share0 = read_back(lt, keep, one_hot(lt, steps).expand(keep.shape))
    index = torch.arange(keep.shape[0], device=keep.device)[:, None, None]
    age = (index - steps) if lt.reverse else (steps - index)  # [T, B, 1 | H]
    first = lt.first_steps()[:, None]
    age0 = ((first - steps) if lt.reverse else steps) + 1  # [B, 1 | H]
    written = (1 - let_stand) * age.clamp(min=0) + (let_stand - keep) * (age + 1).clamp(min=0)
    total = (shares * written).sum(0) + share0 * age0.clamp(min=0)
    return total.to(lt.h.dtype)
