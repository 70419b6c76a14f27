"""Traces of the layers of ours: the gates that the kernel handed out, where it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from gatewise.kernels import dropped
from gatewise.kernels.naive import unroll_with_gates
from gatewise.kernels.ragged import borders
from gatewise.layers.base import Recurrent
from gatewise.layers.door import Batch
from gatewise.layers.passes import Pass, Watcher
from gatewise.memory.building import Ran, Seen, build
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.masks import DrawnMasks
from gatewise.memory.modules import Opened
from gatewise.memory.opening import check_residual, open_replayed
from gatewise.memory.pre_activations import pre_activations


@contextmanager
def watched(layer: Recurrent, watcher: Watcher) -> Iterator[None]:
    """`watcher` sees every call of the layer inside the block."""
    layer.watchers.append(watcher)
    try:
        yield
    finally:
        layer.watchers.remove(watcher)


def open_passes(
    opened: Opened, batch: Batch, passes: list[Pass], *, keep_pre: bool = False, grad: bool = False
) -> list[LayerTrace]:
    """Every layer and direction of one call of a layer of ours; rows in the caller's order.

    Args:
        grad: leave the traces in the graph, if one is recorded: the gates are then read by replay, or where that knows
            a variant or resets not, by the definition, unrolled.
    """
    module: Recurrent = opened.module
    in_graph = grad and torch.is_grad_enabled()
    traces = []
    for p in passes:
        ran = Ran(
            p.layer, p.reverse, p.x, p.result.h_seq, p.h0, p.c0, dropped(p.weights, module.variant, p.seed),
            batch.lengths,
            variant=module.variant.in_steps(p.seed is not None),
            borders=None if batch.resets is None else borders(batch.resets, batch.lengths, reverse=p.reverse),
            seed=p.seed,
        )  # fmt: skip
        # The h of the uppermost layer is what the caller gets, unless two directions are joined. In training it needs
        # no copy: who changes it in place breaks the layer's own backward pass.
        exposed = p.layer == module.num_layers - 1 and not module.bidirectional
        copy_h = exposed and not p.result.h_seq.requires_grad
        lt = _open(opened, ran, p, batch, keep_pre=keep_pre, in_graph=in_graph, copy_h=copy_h)
        traces.append(lt if batch.packed is None else in_rows(lt, batch.packed.unsorted_indices))
    return traces


def _open(
    opened: Opened, ran: Ran, p: Pass, batch: Batch, *, keep_pre: bool, in_graph: bool, copy_h: bool
) -> LayerTrace:
    gates, c, source = p.result.gates, p.result.c_seq, "kernel"
    if not in_graph:
        ran = replace(ran, h=ran.h.detach())
        gates, c = (None if t is None else t.detach() for t in (gates, c))
    changed = (p.layer, p.reverse) in opened.module.changes  # then its gates are not those of its equations
    if not opened.cell.startswith("rnn") and (gates is None or in_graph) and not changed:
        if ran.variant.plain and ran.borders is None:
            lt = open_replayed(opened, ran, keep_pre=keep_pre, copy_h=copy_h)
            check_residual(lt)
            return lt
        gates, c, source = *_unrolled(opened.cell, ran, batch.resets), "replay"
    gates, c = (None if t is None else t.to(ran.dtype) for t in (gates, c))
    pre = pre_activations(opened.cell, ran, gates, c) if keep_pre else None
    return build(opened, ran, Seen(gates, pre, c, source), copy_h=copy_h)


def _unrolled(cell: str, ran: Ran, resets: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Gates and cell states of the definition, in the graph."""
    x, h0, c0 = (None if t is None else t.to(ran.dtype) for t in (ran.x, ran.h0, ran.c0))
    assert x is not None and h0 is not None
    with torch.autocast(x.device.type, enabled=False):
        result, gates = unroll_with_gates(
            cell, x, h0, c0, ran.weights.to(ran.dtype), ran.lengths,
            variant=ran.variant, resets=resets, seed=ran.seed, reverse=ran.reverse, keep_gates=True,
        )  # fmt: skip
    return gates, result.c_seq


def in_rows(lt: LayerTrace, rows: Tensor | None) -> LayerTrace:
    """The trace of a packed batch, which ran in another order: row k of it is row rows[k] of `lt`."""
    if rows is None:
        return lt

    def over_time(tensor: Tensor) -> Tensor:
        return tensor.index_select(1, rows)

    assert isinstance(lt.lengths, Tensor)
    return replace(
        lt,
        gates={name: over_time(gate) for name, gate in lt.gates.items()},
        pre={name: over_time(gate) for name, gate in lt.pre.items()},
        h=over_time(lt.h),
        h0=lt.h0.index_select(0, rows),
        c=None if lt.c is None else over_time(lt.c),
        c0=None if lt.c0 is None else lt.c0.index_select(0, rows),
        lengths=lt.lengths.index_select(0, rows),
        masks=replace(lt.masks, rows=rows) if isinstance(lt.masks, DrawnMasks) else None,
    )
