"""`torch.ops.gatewise.recurrence`: the boundary that every fused backend fills.

One operator runs one layer in one direction; which kernel runs is decided inside it, so a traced graph does not
depend on the choice. h_seq, c_seq, h_n and c_n have gradients. `reserve` holds the activated gates [T, B, G*H] in the
row order of the weights; it and c_seq are empty unless `keep`. `workspace` is a kernel's own memory for its backward
pass; when it is empty, the backward pass replays the gates from the output.
"""

from typing import Any

import torch
from torch import Tensor

from gatewise.kernels import aten, onednn, padded, sweep
from gatewise.kernels.naive import unroll
from gatewise.kernels.replay import replay
from gatewise.kernels.weights import Result, Weights

_library = torch.library.Library("gatewise", "DEF")
_INPUTS = "str cell, Tensor x, Tensor h0, Tensor? c0, Tensor[] weights, Tensor? lengths, bool reverse"
_library.define(
    f"recurrence({_INPUTS}, bool keep, bool train) -> "
    "(Tensor h_seq, Tensor c_seq, Tensor h_n, Tensor c_n, Tensor reserve, Tensor workspace)"
)
_library.define(
    f"recurrence_backward({_INPUTS}, Tensor h_seq, Tensor h_n, Tensor c_n, Tensor workspace, Tensor?[] grads) -> "
    "(Tensor dx, Tensor dh0, Tensor dc0, Tensor[] dweights)"
)


def _takes_onednn(cell: str, x: Tensor, weights: Weights, lengths: Tensor | None) -> bool:
    return onednn.runs(cell, x, weights) and (lengths is None or padded.pays(lengths, len(x)))


@torch.library.impl(_library, "recurrence", "CompositeExplicitAutograd")
def _forward(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor], lengths: Tensor | None,
    reverse: bool, keep: bool, train: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    w = Weights.from_tensors(weights)
    workspace = x.new_empty(0, dtype=torch.uint8)
    if c0 is not None and _takes_onednn(cell, x, w, lengths):
        # With c_seq in the graph its gradient comes from the sweep, which needs no workspace.
        out = onednn.forward(x, h0, c0, w, lengths, reverse=reverse, train=train and not keep)
        h_seq, h_n, c_n, workspace = (*out[:3], workspace if out.workspace is None else out.workspace)
    else:
        dense = aten.dense(cell, w, reverse=reverse, train=False)
        h_seq, _, h_n, c_n = aten.run(dense, x, h0, c0, lengths, reverse=reverse)
    c_seq, reserve = x.new_empty(0), x.new_empty(0)
    if keep:
        seen = replay(cell, x, h_seq, h0, c0, w, lengths, reverse=reverse)
        reserve = seen.gates.to(x.dtype)
        c_seq = c_seq if seen.c_seq is None else seen.c_seq.to(x.dtype)
    return h_seq, c_seq, h_n, x.new_empty(0) if c_n is None else c_n, reserve, workspace


@torch.library.register_fake("gatewise::recurrence", lib=_library)
def _fake_forward(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor], lengths: Tensor | None,
    reverse: bool, keep: bool, train: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    w = Weights.from_tensors(weights)
    T, B = x.shape[:2]
    c_shape = (T, B, w.hidden_size) if keep and c0 is not None else (0,)
    reserve_shape = (T, B, w.w_ih.shape[0]) if keep else (0,)
    # Whether a ragged batch takes oneDNN depends on the values of its lengths, which a trace does not see.
    has_workspace = train and not keep and onednn.runs(cell, x, w)
    size = torch.library.get_ctx().new_dynamic_size() if has_workspace else 0
    return (
        x.new_empty(T, B, h0.shape[1]),
        x.new_empty(c_shape),
        x.new_empty(h0.shape),
        x.new_empty(0 if c0 is None else c0.shape),
        x.new_empty(reserve_shape),
        x.new_empty(size, dtype=torch.uint8),
    )


@torch.library.impl(_library, "recurrence_backward", "CompositeExplicitAutograd")
def _backward(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor], lengths: Tensor | None,
    reverse: bool, h_seq: Tensor, h_n: Tensor, c_n: Tensor, workspace: Tensor, grads: list[Tensor | None],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    w = Weights.from_tensors(weights)
    dh_seq, dc_seq, dh_n, dc_n = grads
    if workspace.numel() and c0 is not None:
        outputs = onednn.Outputs(h_seq, h_n, c_n, workspace)
        g_h_seq, g_h_n, g_c_n = (
            torch.zeros_like(y) if g is None else g
            for g, y in zip((dh_seq, dh_n, dc_n), outputs[:3], strict=True)
        )
        return onednn.backward(x, h0, c0, w, lengths, outputs, (g_h_seq, g_h_n, g_c_n), reverse=reverse)
    if x.device.type == "cpu" or dc_seq is not None:
        out = sweep.OutputGrads(dh_seq, dc_seq, dh_n, dc_n)
        dx, dh0, dc0, dw = sweep.backward(cell, x, h0, c0, w, lengths, h_seq, out, reverse=reverse)
    else:
        out = aten.OutputGrads(dh_seq, dh_n, dc_n)
        dx, dh0, dc0, dw = aten.backward_by_rerun(cell, x, h0, c0, w, lengths, out, reverse=reverse)
    return dx, dh0, x.new_empty(0) if dc0 is None else dc0, dw


@torch.library.register_fake("gatewise::recurrence_backward", lib=_library)
def _fake_backward(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor], lengths: Tensor | None,
    reverse: bool, h_seq: Tensor, h_n: Tensor, c_n: Tensor, workspace: Tensor, grads: list[Tensor | None],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    dc0 = x.new_empty(0 if c0 is None else c0.shape)
    return x.new_empty(x.shape), x.new_empty(h0.shape), dc0, [w.new_empty(w.shape) for w in weights]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, x, h0, c0, weights, lengths, reverse, keep, _ = inputs
    h_seq, _, h_n, c_n, _, workspace = output
    ctx.cell, ctx.reverse, ctx.keep = cell, reverse, keep
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h0, c0, lengths, h_seq, h_n, c_n, workspace, *weights)


def _autograd_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    x, h0, c0, lengths, h_seq, h_n, c_n, workspace, *weights = ctx.saved_tensors
    outer = [
        grads[0],
        grads[1] if ctx.keep and c0 is not None else None,
        grads[2],
        None if c0 is None else grads[3],
    ]
    if torch.is_grad_enabled():  # create_graph=True: differentiate the definition instead
        dx, dh0, dc0, dw = _differentiable_backward(ctx.cell, x, h0, c0, weights, lengths, ctx.reverse, outer)
    else:
        dx, dh0, dc0, dw = torch.ops.gatewise.recurrence_backward(
            ctx.cell, x, h0, c0, weights, lengths, ctx.reverse, h_seq, h_n, c_n, workspace, outer
        )
    return None, dx, dh0, None if c0 is None else dc0, dw, None, None, None, None


def _differentiable_backward(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor], lengths: Tensor | None,
    reverse: bool, grads: list[Tensor | None],
) -> tuple[Tensor | None, Tensor | None, Tensor | None, list[Tensor | None]]:  # fmt: skip
    """The backward pass as a graph of its own, for double backward: naive, unrolled again."""
    inputs = [x, h0, *([] if c0 is None else [c0]), *weights]
    result = unroll(cell, x, h0, c0, Weights.from_tensors(weights), lengths, reverse=reverse)
    pairs = [(y, g) for y, g in zip(result, grads, strict=True) if y is not None and g is not None]
    wanted = [t for t in inputs if t.requires_grad]
    found = iter(
        torch.autograd.grad(
            [y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, materialize_grads=True
        )
    )
    dx, dh0, *rest = [next(found) if t.requires_grad else None for t in inputs]
    return (dx, dh0, None, rest) if c0 is None else (dx, dh0, rest[0], rest[1:])


torch.library.register_autograd(
    "gatewise::recurrence", _autograd_backward, setup_context=_setup_context, lib=_library
)


def run(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights, lengths: Tensor | None, *,
    reverse: bool, keep: bool,
) -> Result:  # fmt: skip
    """Call the operator; `keep` asks for c_seq. Arguments and result as in `gatewise.kernels.recurrence`."""
    flat = weights.tensors()
    train = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, h0, c0, *flat))
    h_seq, c_seq, h_n, c_n, _, _ = torch.ops.gatewise.recurrence(
        cell, x, h0, c0, flat, lengths, reverse, keep, train
    )
    has_c = c0 is not None
    return Result(h_seq, c_seq if keep and has_c else None, h_n, c_n if has_c else None)
