"""`record`: see every gate of a model's recurrent layers while it runs, without changing anything about it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.layers.door import Batch
from gatewise.layers.passes import Pass
from gatewise.memory.cell_calls import CellCalls
from gatewise.memory.layer_call import read_call
from gatewise.memory.modules import Opened, find
from gatewise.memory.opening import open_call
from gatewise.memory.standing_in import stand_in_of
from gatewise.memory.torch_calls import watch_calls
from gatewise.memory.trace import CallTrace, ModuleTrace, Trace
from gatewise.memory.watching import open_passes, watched


@contextmanager
def record(model: nn.Module, *, pre: bool = False, grad: bool = False) -> Iterator[Trace]:
    """Record every call of the recurrent layers and cells inside `model` (or of `model` itself).

    The model runs as it always does: its results, gradients, kernels and random state are untouched. A layer of ours
    hands out the gates that its kernel computed anyway; where the kernel is one of PyTorch's, or the layer a torch.nn
    layer or a cell, they are replayed from its output, for which layers below the top of a torch.nn layer are run once
    more. Of a subclass of a torch.nn layer the calls of torch's own forward are recorded that its forward makes with
    `super().forward`. Calls of a cell that continue each other are one trace over time, complete when the block ends. A
    layer whose replayed h differs from its own by more than 1 % of its largest h gives a warning.

    Args:
        model: holds torch.nn or gatewise recurrent layers or cells, at any depth.
        pre: keep the pre-activations too (`.f_pre`).
        grad: leave the traces in the autograd graph of the inputs and weights; else they are detached. Every gate is
            then replayed, those of a variant or of a call with resets step by step.

    Yields:
        The Trace; `trace[path][k]` is layer k of the module at `path`, `[k, "reverse"]` its other direction.

    Raises:
        UsageError: no recurrent layer; a compiled, scripted or quantised one; a subclass whose forward never comes to
            that of torch.nn; at a call of a torch.nn layer, dropout
            between layers in training mode that cannot be drawn again.
    """
    modules = find(model, inner=True)
    traces = {opened.path: ModuleTrace(opened.path, []) for opened in modules}
    with ExitStack() as hooks:
        finishes = [_watch(opened, traces[opened.path], pre, grad, hooks) for opened in modules]
        yield Trace(list(traces.values()))
        for finish in finishes:
            finish()


def _watch(opened: Opened, trace: ModuleTrace, pre: bool, grad: bool, hooks: ExitStack) -> Callable[[], None]:
    if opened.hands_out_gates:
        return _watch_ours(opened, trace, pre, grad, hooks)
    watcher = (
        _LayerWatcher(opened, trace, pre, grad) if opened.is_layer else _CellWatcher(opened, trace, pre, grad)
    )
    check = watch_calls(opened, watcher.before, watcher.after, hooks)

    def finish() -> None:
        check()
        watcher.finish()

    return finish


def _watch_ours(
    opened: Opened, trace: ModuleTrace, pre: bool, grad: bool, hooks: ExitStack
) -> Callable[[], None]:
    def see(batch: Batch, passes: list[Pass]) -> None:
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            trace.calls.append(CallTrace(open_passes(opened, batch, passes, keep_pre=pre, grad=grad)))

    hooks.enter_context(watched(opened.module, see))
    return lambda: None


class _Watcher:
    """What the hooks of one module do that is not ours."""

    def __init__(self, opened: Opened, trace: ModuleTrace, pre: bool, grad: bool) -> None:
        self.opened, self.trace, self.pre, self.grad = opened, trace, pre, grad

    def before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Called before the module runs."""

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        with torch.set_grad_enabled(self.grad and torch.is_grad_enabled()):
            self.see(args, kwargs, result)

    def see(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Called when the block ends without an exception."""


class _LayerWatcher(_Watcher):
    rng_state: Tensor | None = None

    def before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self.opened.drops_between_layers or stand_in_of(module) is not None:
            self.rng_state = None
            return
        device = next(module.parameters()).device
        if device.type != "cpu":
            raise UsageError(
                f"{self.opened.label}: dropout {module.dropout} between layers in training mode cannot be drawn "
                f"again on {device.type}; record in eval mode"
            )
        self.rng_state = torch.get_rng_state()

    def see(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        stand_in = stand_in_of(self.opened.module)
        if stand_in is not None:
            traces = stand_in.open_last(keep_pre=self.pre, grad=self.grad)
        else:
            call = read_call(self.opened, args, kwargs, result)
            traces = open_call(self.opened, call, self.rng_state, self.pre)
        self.trace.calls.append(CallTrace(traces))


class _CellWatcher(_Watcher):
    def __init__(self, opened: Opened, trace: ModuleTrace, pre: bool, grad: bool) -> None:
        super().__init__(opened, trace, pre, grad)
        self.steps = CellCalls(opened, pre)

    def see(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        self.trace.calls += [CallTrace([lt]) for lt in self.steps.add(args, kwargs, result)]

    def finish(self) -> None:
        with torch.set_grad_enabled(self.grad and torch.is_grad_enabled()):
            self.trace.calls += [CallTrace([lt]) for lt in self.steps.finish()]
