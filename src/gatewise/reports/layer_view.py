"""From the trace of a layer to what a page shows of it: one row of the batch, cut to its length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, half_life, held
from gatewise.memory.additive import additive
from gatewise.memory.masks import Masks
from gatewise.reports.page import Floats, LayerView


def one_row(lt: LayerTrace, row: int) -> LayerTrace:
    """`row_of` a plain cell without resets.

    Raises:
        UsageError: the trace has no such row, or the row has no step; a variant of the cell, or resets: a page writes
            out the plain cell's equations.
    """
    what = lt.variant.names[:1] or (["resets inside the sequence"] if lt.borders is not None else [])
    if what:
        raise UsageError(f"{lt.label}: a page shows how a plain {lt.cell} works, and this call has {what[0]}")
    return row_of(lt, row)


def row_of(lt: LayerTrace, row: int) -> LayerTrace:
    """Row `row` of any trace by itself: B = 1, detached, on the CPU, T the row's own length; no pre-activations.

    Raises:
        UsageError: the trace has no such row, or the row has no step.
    """
    batch = lt.h.shape[1]
    if not 0 <= row < batch:
        raise UsageError(f"{lt.label}: there is no row {row}; the batch has {batch}, counted from 0")
    steps = int(lt.full_lengths()[row])
    if steps == 0:
        raise UsageError(f"{lt.label}: row {row} has no step, so there is nothing to show")

    def over_time(tensor: Tensor) -> Tensor:
        return tensor[:steps, row : row + 1].detach().cpu()

    def if_any(change: Callable[[Tensor], Tensor], tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else change(tensor)

    def state(tensor: Tensor) -> Tensor:
        return tensor[row : row + 1].detach().cpu()

    def whole(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu()

    masks = (
        None if lt.masks is None else Masks(*(if_any(over_time, mask) for mask in (lt.masks.c, lt.masks.h)))
    )
    return replace(
        lt,
        gates={name: over_time(gate) for name, gate in lt.gates.items()},
        pre={},
        h=over_time(lt.h),
        h0=state(lt.h0),
        c=if_any(over_time, lt.c),
        c0=if_any(state, lt.c0),
        lengths=None,
        w_hr=if_any(whole, lt.w_hr),
        borders=if_any(over_time, lt.borders),
        masks=masks,
        norm_c=if_any(whole, lt.norm_c),
        norm_c_bias=if_any(whole, lt.norm_c_bias),
    )


def layer_view(
    lt: LayerTrace,
    row: int = 0,
    *,
    name: str | None = None,
    positions: NDArray[np.int64] | None = None,
    weights: Tensor | None = None,
    is_read: bool = True,
    with_belt: bool = True,
    push: NDArray | Tensor | None = None,
    half_lives_before: Tensor | None = None,
) -> LayerView:
    """What a page shows of one row of a layer; T is the row's own length.

    Args:
        lt: the layer in one direction.
        name: on the page; None: its module and place, such as "encoder, layer 1, reverse".
        positions: [T] which word each step is; None: 0 … T-1.
        weights: how the answer reads the hidden states, as in `gatewise.memory.held`: None (the last state), [T, B] or
            [T, B, P], over the whole batch of `lt`.
        is_read: whether the answer reads this layer at all; if not, it has no edge and no reading.
        with_belt: False leaves out the belt, which takes T² numbers.
        push: [T] of this row, or None.
        half_lives_before: [H] before training, or None.

    Half-lives are those of this row alone. Those of a plain RNN, which keeps no sum, are nan, and it has no belt and no
    edge.

    Raises:
        UsageError: no such row, or one without steps; weights of another shape, or negative.
    """
    one = one_row(lt, row)
    steps, _, hidden = one.content_shape
    is_sum = bool(one.gates)
    content, initial = (one.h, one.h0) if one.c is None or one.c0 is None else (one.c, one.c0)
    own = None if weights is None else _own_weights(lt, weights)[:steps, row : row + 1].detach().cpu()
    return LayerView(
        name=place(lt) if name is None else name,
        cell=one.cell,
        reverse=one.reverse,
        positions=np.arange(steps) if positions is None else positions,
        gates={gate: _floats(values[:, 0]) for gate, values in one.gates.items()},
        memory=_floats(content[:, 0]),
        initial=_floats(initial[0]),
        hidden=_floats(one.h[:, 0]),
        belt=_floats(belt(one)) if is_sum and with_belt else None,
        edge=_floats(held(one, own)[:, 0]) if is_sum and is_read else None,
        reading=_floats(_reading(one, own)) if is_read else None,
        push=None if push is None else _floats(torch.as_tensor(push)),
        half_lives=_floats(half_life(one) if is_sum else torch.full((hidden,), torch.nan)),
        half_lives_before=None if half_lives_before is None else _floats(half_lives_before),
        residual=lt.residual,
    )


def place(lt: LayerTrace) -> str:
    """A layer's place in words: "encoder, layer 1, reverse"; "gru, layer 0" where the model itself is the layer."""
    return f"{lt.path or lt.cell.split('_')[0]}, layer {lt.layer}" + (", reverse" if lt.reverse else "")


def belt(lt: LayerTrace) -> Tensor:
    """How much of what step s wrote is in memory at step t, `Σ_j |R[t,s]⊙written_s|_j`, for every pair of steps.

    The sizes of all writes so far are faded by the keep gate of each step in turn, so only [T, H] numbers are held at
    once: O(T²·H) time in float64.

    Args:
        lt: an LSTM or GRU trace of one row without lengths.

    Returns:
        [T, T] float64, row t and column s in time order; zero where s comes after t in reading order.
    """
    memory = additive(lt)
    keep, sizes = memory.keep[:, 0], memory.written[:, 0].abs()  # [T, H]
    if lt.reverse:
        keep, sizes = keep.flip(0), sizes.flip(0)
    found = keep.new_zeros(len(keep), len(keep))
    for t in range(len(keep)):
        sizes[:t] *= keep[t]
        found[t, : t + 1] = sizes[: t + 1].sum(-1)
    return found.flip(0, 1) if lt.reverse else found


def _own_weights(lt: LayerTrace, weights: Tensor) -> Tensor:
    shape = tuple(lt.h.shape)
    if tuple(weights.shape) not in (shape[:2], shape):
        raise UsageError(
            f"{lt.label}: weights have shape {tuple(weights.shape)}; they take {shape[:2]} or {shape}"
        )
    return weights


def _reading(lt: LayerTrace, weights: Tensor | None) -> Tensor:
    """How strongly each step is read, as shares of 1 (zeros where nothing is read): [T] float64."""
    if weights is None:
        shares = torch.zeros(lt.h.shape[0], dtype=torch.float64)
        shares[lt.last_steps()] = 1
        return shares
    shares = weights.double().reshape(*weights.shape[:1], -1).mean(-1)
    total = shares.sum()
    return shares / total if total > 0 else shares


def _floats(values: Tensor) -> Floats:
    return values.detach().cpu().to(torch.float32).numpy()
