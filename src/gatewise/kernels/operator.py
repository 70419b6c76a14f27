"""`torch.ops.gatewise.recurrence`: the boundary that every fused backend fills.

One operator runs one layer in one direction; which kernel runs is decided inside it, so a traced graph does not
depend on the choice. h_seq, c_seq, h_n and c_n have gradients. `reserve` holds the activated gates [T, B, G*H] in the
row order of the weights (of a plain RNN nothing: h is its gate), zero beyond the lengths; it and c_seq are empty unless
`keep`, or a native backward pass will read them. `workspace` is a kernel's own memory for its backward pass; when it
and the reserve are empty, the backward pass begins with what it needs of the forward pass.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from gatewise.cells import Variant
from gatewise.errors import UsageError
from gatewise.kernels import aten, native, onednn, padded, sweep
from gatewise.kernels.naive import unroll, unroll_with_gates
from gatewise.kernels.ragged import check_range
from gatewise.kernels.registry import describe, forced, pick
from gatewise.kernels.replay import replay
from gatewise.kernels.weights import Result, Weights

_library = torch.library.Library("gatewise", "DEF")
_INPUTS = (
    "str cell, str variant, Tensor x, Tensor h0, Tensor? c0, Tensor[] weights, Tensor? lengths, Tensor? resets, "
    "Tensor? seed, bool reverse"
)
_OUTPUTS = "Tensor h_seq, Tensor c_seq, Tensor h_n, Tensor c_n, Tensor reserve, Tensor workspace"
_library.define(f"recurrence({_INPUTS}, bool keep, bool train, bool recompute, str backend) -> ({_OUTPUTS})")
_library.define(
    f"recurrence_backward({_INPUTS}, {_OUTPUTS}, Tensor?[] grads, bool need_dx, str backend) -> "
    "(Tensor dx, Tensor dh0, Tensor dc0, Tensor[] dweights)"
)


class _Inputs(NamedTuple):
    """What both passes are given; see `gatewise.kernels.recurrence`. `variant` is what the steps see of it."""

    cell: str
    variant: Variant
    x: Tensor
    h0: Tensor
    c0: Tensor | None
    weights: Weights
    lengths: Tensor | None
    resets: Tensor | None
    seed: Tensor | None
    reverse: bool

    @classmethod
    def read(
        cls, cell: str, variant: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor],
        lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, reverse: bool,
    ) -> "_Inputs":  # fmt: skip
        """From the arguments of the operator."""
        steps = Variant.parse(variant).in_steps(seed is not None)
        return cls(
            cell, steps, x, h0, c0, Weights.from_tensors(weights, steps), lengths, resets, seed, reverse
        )

    @property
    def tensors(self) -> list[Tensor]:
        """Those that have a gradient, in order."""
        return [self.x, self.h0, *([] if self.c0 is None else [self.c0]), *self.weights.tensors()]

    def replaced(self, tensors: list[Tensor]) -> "_Inputs":
        """The same call with other `tensors`."""
        x, h0, *rest = tensors
        c0, flat = (None, rest) if self.c0 is None else (rest[0], rest[1:])
        return self._replace(x=x, h0=h0, c0=c0, weights=self.weights.replaced(flat))

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of `unroll`."""
        return {"variant": self.variant, "resets": self.resets, "seed": self.seed, "reverse": self.reverse}

    @property
    def has_reserve(self) -> bool:
        """Whether the gates are something else than h."""
        return not self.cell.startswith("rnn")

    def pick(self, wanted: str, *, train: bool) -> str:
        """The backend that runs it."""
        ragged, resets = self.lengths is not None, self.resets is not None
        call = describe(
            self.cell, self.variant, self.x, self.weights, ragged=ragged, resets=resets, train=train
        )
        return pick(call, wanted)


class _Outputs(NamedTuple):
    """What the operator returns; an empty tensor stands for what a call has not."""

    h_seq: Tensor
    c_seq: Tensor
    h_n: Tensor
    c_n: Tensor
    reserve: Tensor
    workspace: Tensor


def _nothing(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return x.new_empty(0, dtype=dtype)


@torch.library.impl(_library, "recurrence", "CompositeExplicitAutograd")
def _forward(
    cell: str, variant: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor],
    lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, reverse: bool,
    keep: bool, train: bool, recompute: bool, backend: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    call = _Inputs.read(cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse)
    if lengths is not None:
        check_range(lengths, len(x))
    name = call.pick(backend, train=train)
    if forced() not in ("", name):
        raise UsageError(
            f"backend {forced()!r} is forced, and this layer was compiled to run {name!r}; compile it inside the block"
        )
    if name == "native":
        return _forward_native(call, keep=keep, train=train, recompute=recompute)
    if name == "aten":
        return _forward_aten(call, keep=keep, train=train)
    return _forward_naive(call, keep=keep)


def _native_stores(call: _Inputs, *, keep: bool, train: bool, recompute: bool) -> bool:
    """Whether a native forward pass leaves c_seq, the reserve and its workspace; an RNN has none to save."""
    return keep or (train and not (recompute and call.has_reserve))


def _forward_native(call: _Inputs, *, keep: bool, train: bool, recompute: bool) -> _Outputs:
    stores = _native_stores(call, keep=keep, train=train, recompute=recompute)
    out = _Outputs(*native.forward(*call[:-1], reverse=call.reverse, train=stores))
    return out if train or not stores else out._replace(workspace=_nothing(call.x, torch.uint8))


def _forward_aten(call: _Inputs, *, keep: bool, train: bool) -> _Outputs:
    cell, _, x, h0, c0, weights, lengths, *_, reverse = call
    workspace = _nothing(x, torch.uint8)
    if c0 is not None and _takes_onednn(call):
        # With c_seq in the graph its gradient comes from the sweep, which needs no workspace.
        out = onednn.forward(x, h0, c0, weights, lengths, reverse=reverse, train=train and not keep)
        h_seq, h_n, c_n, workspace = (*out[:3], workspace if out.workspace is None else out.workspace)
    else:
        dense = aten.dense(cell, weights, reverse=reverse, train=False)
        h_seq, _, h_n, c_n, _ = aten.run(dense, x, h0, c0, lengths, reverse=reverse)
    c_seq, reserve = _nothing(x), _nothing(x)
    if keep and call.has_reserve:
        seen = replay(cell, x, h_seq, h0, c0, weights, lengths, reverse=reverse)
        reserve = seen.gates.to(x.dtype)
        c_seq = c_seq if seen.c_seq is None else seen.c_seq.to(x.dtype)
    return _Outputs(h_seq, c_seq, h_n, _nothing(x) if c_n is None else c_n, reserve, workspace)


def _takes_onednn(call: _Inputs) -> bool:
    fits = onednn.runs(call.cell, call.x, call.weights)
    return fits and (call.lengths is None or padded.pays(call.lengths, len(call.x)))


def _forward_naive(call: _Inputs, *, keep: bool) -> _Outputs:
    cell, _, x, h0, c0, weights, lengths, *_ = call
    result, gates = unroll_with_gates(
        cell, x, h0, c0, weights, lengths, **call.options, keep_gates=keep and call.has_reserve
    )
    c_seq = result.c_seq if keep else None
    c_seq, c_n, reserve = (_nothing(x) if t is None else t for t in (c_seq, result.c_n, gates))
    return _Outputs(result.h_seq, c_seq, result.h_n, c_n, reserve, _nothing(x, torch.uint8))


@torch.library.register_fake("gatewise::recurrence", lib=_library)
def _fake_forward(
    cell: str, variant: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor],
    lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, reverse: bool,
    keep: bool, train: bool, recompute: bool, backend: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    call = _Inputs.read(cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse)
    name, (T, B), H = call.pick(backend, train=train), x.shape[:2], call.weights.hidden_size
    size: Any = 0
    if name == "native":
        full = _native_stores(call, keep=keep, train=train, recompute=recompute)
        dtype = torch.promote_types(x.dtype, torch.float32)
        if full and train:
            size = native.workspace_size(cell, call.variant, T, B, H, dtype.itemsize)
    else:
        full, dtype = keep, x.dtype
        # Whether a ragged batch takes oneDNN depends on the values of its lengths, which a trace does not see.
        if name == "aten" and train and not keep and onednn.runs(cell, x, call.weights):
            size = torch.library.get_ctx().new_dynamic_size()
    return _Outputs(
        x.new_empty(T, B, h0.shape[1]),
        x.new_empty((T, B, H) if full and c0 is not None else (0,), dtype=dtype),
        x.new_empty(h0.shape),
        x.new_empty(0 if c0 is None else c0.shape),
        x.new_empty((T, B, call.weights.w_ih.shape[0]) if full and call.has_reserve else (0,), dtype=dtype),
        x.new_empty(size, dtype=torch.uint8),
    )


class _OutputGrads(NamedTuple):
    """Gradients of a run's outputs; None where an output has none."""

    h_seq: Tensor | None
    c_seq: Tensor | None
    h_n: Tensor | None
    c_n: Tensor | None


class _InputGrads(NamedTuple):
    """Gradients of a run's inputs; None where there is no such input, or nobody asked."""

    x: Tensor | None
    h0: Tensor | None
    c0: Tensor | None
    weights: Sequence[Tensor | None]  # of those that exist


@torch.library.impl(_library, "recurrence_backward", "CompositeExplicitAutograd")
def _backward(
    cell: str, variant: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor],
    lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, reverse: bool,
    h_seq: Tensor, c_seq: Tensor, h_n: Tensor, c_n: Tensor, reserve: Tensor, workspace: Tensor,
    grads: list[Tensor | None], need_dx: bool, backend: str,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    call = _Inputs.read(cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse)
    outputs, of_outputs = _Outputs(h_seq, c_seq, h_n, c_n, reserve, workspace), _OutputGrads(*grads)
    name = call.pick(backend, train=True)
    found: Any
    if name == "native":
        found = _backward_native(call, outputs, of_outputs, need_dx)
    elif name == "aten":
        found = _backward_aten(call, outputs, of_outputs)
    else:
        with torch.enable_grad():
            again = call.replaced([t.detach().requires_grad_() for t in call.tensors])
            found = _differentiate(again, of_outputs, create_graph=False)
    dx, dh0, dc0, dw = found
    return dx if need_dx else x.new_empty(0), dh0, x.new_empty(0) if dc0 is None else dc0, dw


def _backward_native(call: _Inputs, outputs: _Outputs, grads: _OutputGrads, need_dx: bool) -> Any:
    if call.has_reserve and not outputs.reserve.numel():
        out = native.forward(*call[:-1], reverse=call.reverse, train=True)
    else:
        out = native.Outputs(*outputs)
    return native.backward(*call[:-1], out, tuple(grads), reverse=call.reverse, need_dx=need_dx)


def _backward_aten(call: _Inputs, outputs: _Outputs, grads: _OutputGrads) -> Any:
    cell, _, x, h0, c0, weights, lengths, *_, reverse = call
    if outputs.workspace.numel() and c0 is not None:
        out = onednn.Outputs(outputs.h_seq, outputs.h_n, outputs.c_n, outputs.workspace)
        dh_seq, dh_n, dc_n = (
            torch.zeros_like(y) if g is None else g
            for g, y in zip((grads.h_seq, grads.h_n, grads.c_n), out[:3], strict=True)
        )
        return onednn.backward(x, h0, c0, weights, lengths, out, (dh_seq, dh_n, dc_n), reverse=reverse)
    if x.device.type == "cpu" or grads.c_seq is not None:
        given = sweep.OutputGrads(*grads)
        return sweep.backward(cell, x, h0, c0, weights, lengths, outputs.h_seq, given, reverse=reverse)
    given = aten.OutputGrads(grads.h_seq, grads.h_n, grads.c_n)
    return aten.backward_by_rerun(cell, x, h0, c0, weights, lengths, given, reverse=reverse)


def _differentiate(call: _Inputs, grads: _OutputGrads, *, create_graph: bool) -> _InputGrads:
    """The backward pass of the definition, unrolled again: with `create_graph` a graph of its own."""
    cell, _, x, h0, c0, weights, lengths, *_ = call
    result = unroll(cell, x, h0, c0, weights, lengths, **call.options)
    pairs = [(y, g) for y, g in zip(result[:4], grads, strict=True) if y is not None and g is not None]
    wanted = [t for t in call.tensors if t.requires_grad]
    found = iter(
        torch.autograd.grad(
            [y for y, _ in pairs], wanted, [g for _, g in pairs],
            create_graph=create_graph, allow_unused=True, materialize_grads=True,
        )
    )  # fmt: skip
    dx, dh0, *rest = [next(found) if t.requires_grad else None for t in call.tensors]
    return _InputGrads(dx, dh0, None, rest) if c0 is None else _InputGrads(dx, dh0, rest[0], rest[1:])


@torch.library.register_fake("gatewise::recurrence_backward", lib=_library)
def _fake_backward(
    cell: str, variant: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: list[Tensor],
    lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, reverse: bool,
    h_seq: Tensor, c_seq: Tensor, h_n: Tensor, c_n: Tensor, reserve: Tensor, workspace: Tensor,
    grads: list[Tensor | None], need_dx: bool, backend: str,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    dc0 = x.new_empty(0 if c0 is None else c0.shape)
    dx = x.new_empty(x.shape if need_dx else 0)
    return dx, x.new_empty(h0.shape), dc0, [w.new_empty(w.shape) for w in weights]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse, keep, _, _, backend = inputs
    ctx.cell, ctx.variant, ctx.reverse, ctx.keep, ctx.backend = cell, variant, reverse, keep, backend
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h0, c0, lengths, resets, seed, *output, *weights)


def _autograd_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    found = _gradients(ctx, grads, torch.ops.gatewise.recurrence_backward)
    return None, None, found.x, found.h0, found.c0, list(found.weights), *[None] * 8


def _gradients(ctx: Any, grads: tuple[Tensor | None, ...], backward: Callable[..., Any]) -> _InputGrads:
    """What a node of the graph returns; `backward` is the operator of that name, or what it calls."""
    x, h0, c0, lengths, resets, seed, *saved = ctx.saved_tensors
    outputs, weights = saved[:6], saved[6:]
    inputs = ctx.cell, ctx.variant, x, h0, c0, weights, lengths, resets, seed, ctx.reverse
    has_c = c0 is not None
    outer = _OutputGrads(
        grads[0], grads[1] if ctx.keep and has_c else None, grads[2], grads[3] if has_c else None
    )
    if torch.is_grad_enabled():  # create_graph=True: differentiate the definition instead
        return _differentiate(_Inputs.read(*inputs), outer, create_graph=True)
    need_dx = x.requires_grad
    dx, dh0, dc0, dw = backward(*inputs, *outputs, list(outer), need_dx, ctx.backend)
    return _InputGrads(dx if need_dx else None, dh0, dc0 if has_c else None, dw)


torch.library.register_autograd(
    "gatewise::recurrence", _autograd_backward, setup_context=_setup_context, lib=_library
)


class _Eager(torch.autograd.Function):
    """The operator's node of the graph for eager code, where the dispatcher would cost more than a short layer."""

    @staticmethod
    def forward(
        ctx: Any, options: tuple[Any, ...], x: Tensor, h0: Tensor, c0: Tensor | None, *weights: Tensor
    ) -> Any:
        cell, variant, *rest = options
        inputs = cell, variant, x, h0, c0, list(weights), *rest
        output = _forward(*inputs)
        _setup_context(ctx, inputs, output)
        _, c_seq, _, c_n, reserve, workspace = output
        without = [reserve, workspace, *([] if ctx.keep and c0 is not None else [c_seq])]
        ctx.mark_non_differentiable(*without, *([c_n] if c0 is None else []))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        found = _gradients(ctx, grads, _backward)
        return None, found.x, found.h0, found.c0, *found.weights


def dispatched(x: Tensor) -> bool:
    """Whether somebody before the kernels wants to see an operator: a compiler, a mode, a tensor of a subclass."""
    return (
        torch.compiler.is_compiling()
        or is_in_torch_dispatch_mode()
        or type(x) not in (Tensor, torch.nn.Parameter)
        or torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]
    )


def needs_gradients(x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights) -> bool:
    """Whether a backward pass may follow a run with these arguments."""
    given = (x, h0, c0, *weights)
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)


def run(
    cell: str, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights, lengths: Tensor | None, *,
    variant: Variant, resets: Tensor | None, seed: Tensor | None, reverse: bool, keep_c: bool, keep_gates: bool,
    train: bool, recompute: bool, backend: str,
) -> Result:  # fmt: skip
    """Call the operator. Arguments and result as in `gatewise.kernels.recurrence`.

    Args:
        keep_gates: only where the backend is native.
        train: a backward pass may follow.
        backend: the one to run, "" for the operator's choice.
    """
    options = lengths, resets, seed, reverse, keep_c or keep_gates, train, recompute, backend
    flat = weights.tensors()
    if dispatched(x):
        outputs = torch.ops.gatewise.recurrence(cell, str(variant), x, h0, c0, flat, *options)
    elif train:
        outputs = _Eager.apply((cell, str(variant), *options), x, h0, c0, *flat)
    else:
        outputs = _forward(cell, str(variant), x, h0, c0, flat, *options)
    h_seq, c_seq, h_n, c_n, reserve, _ = outputs
    has_c, has_reserve = c0 is not None, reserve.dim() == 3
    if not keep_c:
        c_seq = c_seq.detach() if keep_gates else None
    gates = reserve.detach() if keep_gates and has_reserve else None
    return Result(h_seq, c_seq if has_c else None, h_n, c_n if has_c else None, gates)
