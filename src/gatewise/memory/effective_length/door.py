"""`effective_length`: one door to the three ways."""

from typing import Any, get_args

import torch
from torch import nn

from gatewise.errors import UsageError
from gatewise.memory.attribution.case import in_eval
from gatewise.memory.effective_length.gates import E_FOLD, gate_length
from gatewise.memory.effective_length.gradient import MOST, gradient_length
from gatewise.memory.effective_length.result import EffectiveLength, Way
from gatewise.memory.effective_length.truncation import Cut, runner, truncation_length
from gatewise.memory.gradient_flow import gradient_flow
from gatewise.memory.in_graph import run_model
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.modules import Opened, find
from gatewise.memory.places import Key
from gatewise.memory.readout import Target, answer_of, module_at
from gatewise.memory.record import record


def effective_length(
    model: nn.Module,
    inputs: Any,
    target: Target | None = None,
    by: Way = "gates",
    *,
    at: str | None = None,
    layer: Key | None = None,
    share: float | None = None,
    tolerance: float | None = None,
    cut: Cut | None = None,
) -> EffectiveLength:
    """How many steps back the memory of a model reaches, measured in one of three ways.

    They answer different questions. "gates": how long is a write kept, whatever the answer does with it? "gradient":
    how far back would a change still be felt in the answer? "truncation": how many last steps give the answer that all
    of them give? The model is run in eval mode, and is left as it was.

    Args:
        model: holds torch.nn or gatewise recurrent layers, at any depth.
        inputs: of the model: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        target: the answer, as in `readout`: an index of the output, or a function from it to one number a row. By
            gradient and by truncation; gates need none. It should read the last step.
        by: "gates" (LSTM, GRU), "gradient" or "truncation" (every cell).
        at: path of the recurrent module; None: the last one in the model's order.
        layer: its layer, k or (k, "reverse"), of gates and gradient; None: the top one, forward.
        share: what the length is read at. By gates the share of a write that is left, None: 1/e; by gradient the share
            of the gradient that the last steps hold, None: 0.9.
        tolerance: by truncation, the largest difference from the full answer, None: 1 % of the largest.
        cut: by truncation, a function from the inputs and k to inputs of the last k steps alone; None: the inputs hold
            one tensor, cut along the recurrent module's dimension of time. Rows of several lengths need one.

    Returns:
        The `EffectiveLength`.

    Raises:
        UsageError: another way; a way without its target; a plain RNN by gates; a module that is called other than
            once; numbers out of range; what `gradient_flow` refuses.
    """
    if by not in get_args(Way):
        raise UsageError(f"by is {by!r}; it can be {', '.join(map(repr, get_args(Way)))}")
    if target is None and by != "gates":
        raise UsageError(f"the length by {by} is of an answer; name one with target=")
    opened = _layer_module(model, at)
    with in_eval(model), torch.no_grad():
        lt = _seen(model, inputs, opened, layer)
        if by == "gates":
            return gate_length(lt, E_FOLD if share is None else share)
        assert target is not None
        steps, batch = lt.h.shape[:2]
        if by == "truncation":
            run = runner(model, inputs, target, cut, (steps, batch), 1 if opened.module.batch_first else 0)
            return truncation_length(run, steps, tolerance=tolerance)
        flow = gradient_flow(model, inputs, lambda output: answer_of(output, target, batch).sum())
        return gradient_length(flow[opened.path][lt.key], MOST if share is None else share)


def _layer_module(model: nn.Module, at: str | None) -> Opened:
    modules = find(model)
    if not any(opened.is_layer for opened in modules):
        raise UsageError(
            f"{modules[0].label} is a {type(modules[0].module).__name__} that is called step by step; lengths are of "
            "layers (LSTM, GRU, RNN)"
        )
    return module_at(modules, at)


def _seen(model: nn.Module, inputs: Any, opened: Opened, layer: Key | None) -> LayerTrace:
    """The trace of the layer that is asked for, or of the top one, forward."""
    with record(model) as trace:
        run_model(model, inputs)
    seen = trace[opened.path]
    if len(seen.calls) != 1:
        raise UsageError(
            f"{opened.label} was called {len(seen.calls)} times; a length is of one call (at= names another)"
        )
    return seen[opened.module.num_layers - 1 if layer is None else layer]
