"""How an answer of any model reads the hidden states of one of its recurrent layers: the weights that push takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.memory.additive import at_steps, one_hot, refuse_zoned_h
from gatewise.memory.in_graph import CaughtCall, Direct, direct_gradients, run_in_graph
from gatewise.memory.modules import Opened
from gatewise.memory.places import Key
from gatewise.memory.trace import CallTrace

Target = int | Callable[[Any], Tensor]


@dataclass(frozen=True, eq=False)
class Readout:
    """An answer y as a reading of hidden states: `y = Σ_t weights_t·h_t + constant`, over the directions; detached.

    With `ones = torch.ones(P)`, `push_ledger(readout.traces[key], readout.weights[key], ones)` for each key of
    `weights` is the answer as a sum over steps: the pushes and initials of all keys sum to `value - constant`.

    Attributes:
        path: of the recurrent module that is read.
        traces: all its layers and directions, `traces[k]` and `traces[k, "reverse"]`.
        weights: ∂y/∂h_t of the top layer, {key: [T, B, P]} for each of its directions; the direct path only, not
            through later steps of the layer; zero beyond the lengths.
        value: y, [B] float64.
        constant: what no hidden state of the top layer accounts for, [B] float64: where the head is linear, its bias;
            else also what a linearisation at this point leaves, and all of `left_out`.
        x: the top layer's input [T, B, I].
        w_ih: its input weights by key, [G*H, I].
        left_out: in words, other states of the module that the answer reads; empty for most models.
    """

    path: str
    traces: CallTrace
    weights: dict[Key, Tensor]
    value: Tensor
    constant: Tensor
    x: Tensor
    w_ih: dict[Key, Tensor]
    left_out: list[str]


def readout(model: nn.Module, inputs: Any, target: Target, at: str | None = None) -> Readout:
    """How the answer of `model` reads the hidden states of the top layer of one recurrent module.

    The answer's gradient by the layer's outputs (output and h_n), from autograd. A head that is linear in the
    hidden states (a linear layer on the last state, the mean, the maximum) is read exactly, and `constant` is
    its bias; another one (attention, a hidden layer, a softmax) is linearised at the point. The rows of the
    batch must not act on each other, as they do in batch normalisation in training mode.

    Args:
        model: holds torch.nn or gatewise recurrent layers, at any depth; run once, in the mode that it is in.
        inputs: of the model: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        target: the index k of an answer y = output[:, k] of [B, K] (or of [K] for one row), or a function from what the
            model returns to one number a row, [B] (for one row also a single number).
        at: path of the recurrent module; None: the last one in the model's order.

    Raises:
        UsageError: no recurrent layer, none at that path, or one that was not called exactly once; zoneout on its h;
            dropout between layers in training mode; an index that the output does not have; an answer of another shape,
            or one that no gradient connects with the layer.
    """
    return read_call_of(model, inputs, target, at)[0]


def read_call_of(model: nn.Module, inputs: Any, target: Target, at: str | None) -> tuple[Readout, CaughtCall]:
    """`readout`, and the call that it read."""
    output, modules, calls = run_in_graph(model, inputs)
    call = _called_once(module_at(modules, at), calls)
    refuse_zoned_h(call.traces[call.top])
    with torch.inference_mode(False), torch.enable_grad():
        y = answer_of(output, target, call.x.shape[1])  # [B]
        (direct,) = direct_gradients(y.sum(), [call])
    if direct is None:
        raise UsageError(
            f"no gradient connects the answer with the output of {call.opened.label}; an index (arg-max), a detach or "
            "no_grad inside the model breaks it, and so does an answer that does not read this layer"
        )
    with torch.no_grad():
        return _read(call, direct, y.detach().double()), call


def module_at(modules: list[Opened], at: str | None) -> Opened:
    """The layer module at a path among what `find` found, or the last one."""
    layers = {o.path: o for o in modules if o.is_layer}
    if at is None:
        return list(layers.values())[-1]
    if at not in layers:
        raise UsageError(f"there is no recurrent layer at {at!r}; there are {', '.join(map(repr, layers))}")
    return layers[at]


def _called_once(opened: Opened, calls: list[CaughtCall]) -> CaughtCall:
    of_module = [call for call in calls if call.opened is opened]
    if len(of_module) != 1:
        raise UsageError(
            f"{opened.label} was called {len(of_module)} times; a readout takes a module that is called once "
            "(at= names another)"
        )
    return of_module[0]


def answer_of(output: Any, target: Target, batch: int) -> Tensor:
    """The answer y [B] in what a model returned, in the graph; see `readout` for the target and the errors."""
    if callable(target):
        return _of_function(target(output), batch)
    if isinstance(target, bool) or not isinstance(target, int):
        raise UsageError(f"target is {target!r}; it is an index of the output or a function of it")
    if not isinstance(output, Tensor):
        raise UsageError(
            f"the model returned a {type(output).__name__}, which has no output {target}; give a function from it to "
            "one number a row as target"
        )
    rows = output[None] if output.dim() == 1 and batch == 1 else output  # [B, K]
    if rows.dim() != 2 or rows.shape[0] != batch:
        raise UsageError(
            f"the output has shape {tuple(output.shape)}; an index takes [{batch}, K] with {batch} rows, so give a "
            "function from it to one number a row as target"
        )
    if not 0 <= target < rows.shape[1]:
        raise UsageError(
            f"target is {target}; the model has {rows.shape[1]} outputs, 0 to {rows.shape[1] - 1}"
        )
    return rows[:, target]


def _of_function(y: Any, batch: int) -> Tensor:
    if not isinstance(y, Tensor):
        raise UsageError(
            f"the target function returned a {type(y).__name__}; it must return a tensor [{batch}]"
        )
    if y.dim() == 0 and batch == 1:
        return y[None]
    if y.shape != (batch,):
        raise UsageError(
            f"the target function returned shape {tuple(y.shape)}; with {batch} rows it must be [{batch}], one number "
            "a row"
        )
    return y


def _read(call: CaughtCall, direct: Direct, value: Tensor) -> Readout:
    keys = call.keys(call.top)
    weights: dict[Key, Tensor] = {}
    constant = value
    for d, (key, of_output) in enumerate(zip(keys, direct.output.chunk(len(keys), dim=-1), strict=True)):
        lt = call.traces[key]
        last = one_hot(lt, at_steps(lt, -1)).to(of_output.dtype)  # [T, B, 1]
        of_h = of_output + last * direct.h_n[call.top * len(keys) + d]
        weights[key] = of_h.masked_fill(~lt.valid()[..., None], 0)
        constant = constant - (weights[key].double() * lt.h.double()).sum((0, 2))
    return Readout(
        path=call.opened.path,
        traces=call.traces,
        weights=weights,
        value=value,
        constant=constant,
        x=call.input_of(call.top),
        w_ih={key: call.weights[key].w_ih for key in keys},
        left_out=_left_out(call, direct, len(keys)),
    )


def _left_out(call: CaughtCall, direct: Direct, directions: int) -> list[str]:
    notes: list[str] = []
    if direct.c_n is not None and direct.c_n.any():
        notes.append("the answer also reads the final cell state c_n, which these weights leave out")
    below = [k for k in range(call.top) if direct.h_n[k * directions : (k + 1) * directions].any()]
    if below:
        names = ", ".join(map(str, below))
        notes.append(
            f"the answer also reads the final hidden state h_n of layer {names}, below the top; these weights leave "
            "it out"
        )
    return notes
