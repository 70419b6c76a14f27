"""What the LSTM's cell state and the GRU's hidden state have in common: memory as a sum of what was written.

Both obey `m_t = keep_t⊙m_{t-1} + written_t`: the LSTM with keep = f, written = i⊙g on c; the GRU with keep =
z, written = (1-z)⊙n on h. Zoneout on c that lets a unit keep the share m of its old value makes it keep = m + (1-m)⊙f,
written = (1-m)⊙i⊙g. Where a segment begins keep is 0. Everything in the ledger and in push follows from this one line,
in float64 inside.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.layer_trace import LayerTrace


class Additive(NamedTuple):
    """The additive memory of a trace in float64 (content in the trace's dtype); zero beyond each row's length.

    Shape: keep, written, content [T, B, H]; initial [B, H].
    """

    keep: Tensor
    written: Tensor
    content: Tensor
    initial: Tensor


def additive(lt: LayerTrace) -> Additive:
    """The additive memory of `lt`.

    Raises:
        UsageError: a plain RNN, whose state is not a sum of what was written.
    """
    if lt.cell == "lstm":
        if lt.c is None or lt.c0 is None:
            raise UsageError(f"{lt.label}: this trace holds no cell state")
        written, content, initial = widened(lt.i).mul_(lt.g), lt.c, lt.c0
        kept = lt.kept("c")
        if kept is not None:
            written = (1 - kept) * written
    elif lt.cell in ("gru", "gru_reset_before"):
        written, content, initial = (1 - lt.z.double()).mul_(lt.n), lt.h, lt.h0
    else:
        raise UsageError(
            f"{lt.label}: a plain RNN ({lt.cell}) keeps no sum of what it wrote, so it has no ledger; "
            "an LSTM or a GRU has one"
        )
    keep = kept_by_step(lt)
    if lt.borders is not None:
        keep = keep.masked_fill(lt.borders[..., None], 0)
    return Additive(keep, written, content, initial.double())


def widened(gate: Tensor) -> Tensor:
    """A copy in float64 that may be changed in place: every tensor less is memory that need not be touched first."""
    return gate.to(torch.float64, copy=True)


def kept_by_step(lt: LayerTrace) -> Tensor:
    """The share of its memory that each step of an LSTM or GRU lets stand, [T, B, H] float64; borders are left out.

    f or z, with zoneout on c `m + (1-m)⊙f`; zero beyond the lengths.
    """
    f, kept = (lt.f if lt.cell == "lstm" else lt.z).double(), lt.kept("c")
    if kept is None:
        return f
    return (kept + (1 - kept) * f).masked_fill(~lt.valid()[..., None], 0)


def refuse_zoned_h(lt: LayerTrace) -> None:
    """Raise a UsageError where h_t also holds what earlier steps read, so that who reads h_t does not read c_t."""
    if lt.variant.zoneout[1]:
        raise UsageError(
            f"{lt.label}: zoneout={lt.variant.zoneout} keeps units of h, so h is not what the gates read of the "
            "memory, and no reading of h can be shared out over its writes; the ledger and retention can be read"
        )


def read_back(lt: LayerTrace, keep: Tensor, reading: Tensor) -> tuple[Tensor, Tensor]:
    """How much of a write at each step reaches all the readings: `Q_s = q_s + keep_{s+1}⊙Q_{s+1}`.

    Taken backward from the last step (in the order of processing), so nothing is divided or subtracted: a
    keep gate of exactly 0 gives exactly 0 before it, and every product is as exact as its factors.

    Args:
        lt: for the direction and the lengths.
        keep: [T, B, H], zero beyond the lengths.
        reading: q [T, B, H], zero beyond the lengths.

    Returns:
        Q [T, B, H], and the same for the initial state, `keep_1⊙Q_1` [B, H] (zero where a row has no step).
    """
    if not len(reading):
        return reading, keep.new_zeros(keep.shape[1:])
    first, flow = lt.first_steps(), keep
    ragged_end = lt.reverse and lt.lengths is not None
    if ragged_end:  # what lies beyond the length is not before it
        times = torch.arange(len(keep), device=keep.device)[:, None]
        flow = keep.masked_fill((times == first)[..., None], 0)
    keeps, found = flow.unbind(0), list(reading.unbind(0))
    if lt.reverse:
        for t in range(1, len(found)):
            found[t] = torch.addcmul(found[t], keeps[t - 1], found[t - 1])
    else:
        for t in range(len(found) - 2, -1, -1):
            found[t] = torch.addcmul(found[t], keeps[t + 1], found[t + 1])
    total = torch.stack(found)
    if not ragged_end:
        start = -1 if lt.reverse else 0
        return total, keep[start] * total[start]
    rows = torch.arange(len(first), device=first.device)
    at_start = keep[first, rows] * total[first, rows]
    return total, torch.where((first >= 0)[:, None], at_start, 0.0)


def at_steps(lt: LayerTrace, at: int | Tensor) -> Tensor:
    """The time index that `at` names for each row (and unit), -1 for the initial state: [B, 1] or [B, H].

    Negative numbers count from the row's last processed step; only a row of length 0 has no step at all, and
    there -1 names its initial state.

    Raises:
        UsageError: a step that a row does not have, or a tensor of another shape or dtype.
    """
    steps, batch, hidden = lt.content_shape
    lengths = lt.full_lengths()[:, None]  # [B, 1]
    if isinstance(at, Tensor):
        if at.is_floating_point() or at.is_complex() or at.dtype == torch.bool:
            raise UsageError(f"{lt.label}: at holds {at.dtype}; it takes whole numbers")
        if at.shape not in ((), (batch,), (batch, hidden)):
            raise UsageError(
                f"{lt.label}: at has shape {tuple(at.shape)}; "
                f"it takes a number, [{batch}] or [{batch}, {hidden}]"
            )
        at = at.to(lengths.device, torch.int64)
        at = at[:, None] if at.dim() == 1 else at.expand(batch, 1) if at.dim() == 0 else at
    else:
        at = torch.full_like(lengths, at)
    from_end = -1 - at if lt.reverse else lengths + at
    index = torch.where(at < 0, from_end, at)  # [B, 1 | H]
    empty = (lengths == 0) & (at == -1)
    wrong = ((index < 0) | (index >= lengths)) & ~empty
    if wrong.any():
        row, unit = (int(k) for k in wrong.nonzero()[0])
        raise UsageError(
            f"{lt.label}: at={int(at[row, unit])} names no step of row {row}, which has "
            f"{int(lengths[row])} of the {steps} steps"
        )
    return torch.where(empty, -1, index)


def one_hot(lt: LayerTrace, at: Tensor) -> Tensor:
    """1 at each row's (and unit's) step `at`, else 0: [T, B, 1 | H] float64."""
    steps = torch.arange(lt.h.shape[0], device=at.device)
    return (steps[:, None, None] == at).double()


def finite_max(difference: Tensor) -> float:
    """The largest absolute value, 0 for an empty tensor."""
    return float(difference.detach().abs().max()) if difference.numel() else 0.0
