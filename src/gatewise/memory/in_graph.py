"""One run of a model with what its recurrent layers put out caught in the autograd graph.

The gradient of a number by a layer's outputs is then the direct one: what reads the outputs from outside the
layer. The recurrence inside the layer's one operation is not in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.errors import UsageError
from gatewise.kernels.weights import Weights
from gatewise.layers.door import Batch
from gatewise.layers.passes import Pass
from gatewise.memory.layer_call import read_call, time_first
from gatewise.memory.modules import Opened, find
from gatewise.memory.opening import open_call
from gatewise.memory.places import Key
from gatewise.memory.standing_in import is_intervened
from gatewise.memory.torch_calls import watch_calls
from gatewise.memory.trace import CallTrace
from gatewise.memory.watching import open_passes, watched


class Direct(NamedTuple):
    """Direct gradients of a call's outputs: output [T, B, D*P], h_n [L*D, B, P], c_n [L*D, B, H] or None."""

    output: Tensor
    h_n: Tensor
    c_n: Tensor | None


@dataclass(frozen=True)
class CaughtCall:
    """A call of a layer module.

    Attributes:
        x: the input [T, B, I], detached.
        traces: of all its layers and directions.
        weights: of all its layers and directions, as they were in the call, detached.
        packed: the packed input, where it came packed.
        outputs: output, h_n and, of an LSTM, c_n, as places in the graph.
    """

    opened: Opened
    x: Tensor
    traces: CallTrace
    weights: dict[Key, Weights]
    packed: PackedSequence | None
    outputs: list[GradientEdge]

    @property
    def top(self) -> int:
        """The index of the uppermost layer."""
        return self.opened.module.num_layers - 1

    def keys(self, layer: int) -> list[Key]:
        """The places of a layer's directions, in torch's order."""
        return [layer, (layer, "reverse")] if self.opened.module.bidirectional else [layer]

    def input_of(self, layer: int) -> Tensor:
        """What a layer read: [T, B, I]."""
        return self.x if layer == 0 else torch.cat([self.traces[k].h for k in self.keys(layer - 1)], dim=-1)

    def read_gradients(self, grads: Sequence[Tensor | None]) -> Direct:
        """Gradients of `outputs`, as the caller of the layer sees them, in the form of the traces."""
        (steps, batch, size), hidden = self.traces[0].h.shape, self.traces[0].content_shape[2]
        directions = len(self.keys(0))
        rows = (self.top + 1) * directions
        output, *states = grads
        shapes = ((rows, batch, size), (rows, batch, hidden))
        h_n, *c_n = (
            self.x.new_zeros(shape) if g is None else (g[:, None] if g.dim() == 2 else g)
            for g, shape in zip(states, shapes, strict=False)
        )
        if output is None:
            output = self.x.new_zeros(steps, batch, directions * size)
        elif self.packed is not None:
            output = pad_packed_sequence(self.packed._replace(data=output))[0]
        else:
            output = time_first(output, output.dim() == 3, self.opened.module.batch_first)
        return Direct(output, h_n, c_n[0] if c_n else None)


def run_in_graph(model: nn.Module, inputs: Any) -> tuple[Any, list[Opened], list[CaughtCall]]:
    """Run `model` once, in the mode that it is in.

    The weights need not require gradients. Nothing of the model changes but what a run changes anyway.

    Args:
        inputs: a tuple of positional arguments, a mapping of keyword arguments, or the one argument.

    Returns:
        What the model returned, its recurrent modules, and their calls in the order in which they were made.

    Raises:
        UsageError: no recurrent layer; one that cannot be opened or is intervened upon; dropout between layers in
            training mode.
    """
    modules = find(model, inner=True)
    layers = [opened for opened in modules if opened.is_layer]
    if not layers:
        raise UsageError(
            f"{modules[0].label} is a {type(modules[0].module).__name__} that is called step by step; gradients "
            "are followed through layers (LSTM, GRU, RNN)"
        )
    for opened in layers:
        if is_intervened(opened.module):
            raise UsageError(
                f"{opened.label} is intervened upon, and this follows a layer's own equations; record the model inside "
                "the block of intervene, and do this outside it"
            )
        if opened.drops_between_layers:
            raise UsageError(
                f"{opened.label}: dropout {opened.module.dropout:g} between its {opened.module.num_layers} layers is "
                "on in training mode, so its layers cannot be run again as they were; call model.eval() first"
            )
    calls: list[CaughtCall] = []
    with ExitStack() as hooks:
        checks = [_watch(opened, calls, hooks) for opened in layers]
        with graph(layers):
            result = run_model(model, inputs)
        for check in checks:
            check()
    return result, modules, calls


def run_model(model: nn.Module, inputs: Any) -> Any:
    """What `model` returns for a tuple of positional arguments, a mapping of keyword arguments, or the one argument."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if type(inputs) is tuple else model(inputs)


def direct_gradients(of: Tensor, calls: list[CaughtCall]) -> list[Direct | None]:
    """The direct gradients of a number by each call's outputs; None for a call that it does not depend on."""
    places = [place for call in calls for place in call.outputs]
    if not of.requires_grad or not places:
        return [None] * len(calls)
    found = iter(torch.autograd.grad(of, places, allow_unused=True))
    grads = [[next(found) for _ in call.outputs] for call in calls]
    return [
        None if all(g is None for g in of_call) else call.read_gradients(of_call)
        for call, of_call in zip(calls, grads, strict=True)
    ]


@contextmanager
def graph(layers: list[Opened]) -> Iterator[None]:
    """A graph is recorded, also inside `no_grad` and `inference_mode`."""
    # cuDNN has a backward pass only for what ran in training mode; PyTorch's own kernels have one for both.
    in_eval = any(
        not o.hands_out_gates and not o.module.training and o.weights(0).w_ih.is_cuda for o in layers
    )
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if in_eval:
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def _watch(opened: Opened, calls: list[CaughtCall], hooks: ExitStack) -> Callable[[], None]:
    handed: dict[int, tuple[Tensor, CallTrace]] = {}  # by thread, from inside a call to its end

    def see(batch: Batch, passes: list[Pass]) -> None:
        rows = None if batch.packed is None else batch.packed.unsorted_indices
        with torch.no_grad():
            x = batch.x if rows is None else batch.x.index_select(1, rows)
            handed[get_ident()] = x, CallTrace(open_passes(opened, batch, passes))

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        if opened.hands_out_gates:
            x, traces = handed.pop(get_ident())
        else:
            with torch.no_grad():
                call = read_call(opened, args, kwargs, result)
                x, traces = call.x, CallTrace(open_call(opened, call, None, keep_pre=False))
        packed = next((t for t in (*args, *kwargs.values()) if isinstance(t, PackedSequence)), None)
        places: list[GradientEdge] = []
        caught = _catch(result, places)
        calls.append(CaughtCall(opened, x.detach().clone(), traces, _weights(opened), packed, places))
        return caught

    if opened.hands_out_gates:
        hooks.enter_context(watched(opened.module, see))
    return watch_calls(opened, None, after, hooks)


def _weights(opened: Opened) -> dict[Key, Weights]:
    found: dict[Key, Weights] = {}
    for layer in range(opened.module.num_layers):
        for reverse in (False, True) if opened.module.bidirectional else (False,):
            weights = opened.weights(layer, reverse)
            found[(layer, "reverse") if reverse else layer] = weights.replaced(
                [w.detach() for w in weights.tensors()]
            )
    return found


def _catch(result: Any, places: list[GradientEdge]) -> Any:
    """The result (output, states) with every tensor replaced by a copy; `places` gets the copies' in the graph."""
    if isinstance(result, Tensor):
        # A copy of its own: a view, or a tensor that a later operation overwrites, would lose its place.
        with torch.enable_grad():
            copy = (result if result.requires_grad else result.detach().requires_grad_()).clone()
        places.append(get_gradient_edge(copy))
        return copy
    if isinstance(result, PackedSequence):
        return result._replace(data=_catch(result.data, places))
    return tuple(_catch(part, places) for part in result)
