"""How the gradient of a loss travels back through time: in full, and along the memory's highway alone.

What reads a layer's outputs from outside comes from autograd, exactly; what passes from step to step inside the
layer comes from one backward sweep over its gates, for a fused layer shows autograd nothing of that.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.kernels.sweep import OutputGrads, StateGrads, state_gradients
from gatewise.kernels.weights import Weights
from gatewise.memory.additive import at_steps, one_hot, read_back
from gatewise.memory.flow import CallFlow, Flow, LayerFlow, ModuleFlow
from gatewise.memory.in_graph import CaughtCall, Direct, direct_gradients, run_in_graph
from gatewise.memory.layer_trace import LayerTrace

Reads = Literal["all", "last"]


def gradient_flow(
    model: nn.Module, inputs: Any, loss_fn: Callable[[Any], Tensor], *, reads: Reads = "all"
) -> Flow:
    """dL/dh_t and dL/dc_t for every step of every recurrent layer of `model`, in full and along the highway.

    Full, back through the equations of the cell (U recurrent weights, da gradients of the pre-activations):
    `dh_t = direct_t + Uᵀ da_{t+1}` (GRU: `+ z_{t+1}⊙dh_{t+1}`) and
    `dc_t = f_{t+1}⊙dc_{t+1} + dh_t⊙o_t⊙(1 - tanh² c_t)`, where direct_t is what reads h_t from outside the layer.

    Highway, what the gates that keep carry alone, LSTM: `dc_t = direct_t⊙o_t⊙(1 - tanh² c_t) + f_{t+1}⊙dc_{t+1}`; GRU:
    `dh_t = direct_t + z_{t+1}⊙dh_{t+1}`. Within the layer: what the layers above hand down is direct to it, in full.

    The model runs once, in the mode that it is in; its `.grad`s stay as they are, its weights need not require
    gradients. Steps are swept in float64 over the recorded gates. A plain RNN, a GRU of both
    kinds, projections, lengths and packed input are taken; cells that are called step by step are not followed.

    Args:
        model: holds torch.nn or gatewise recurrent layers, at any depth.
        inputs: of the model: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        loss_fn: takes what the model returns, gives a tensor of one number.
        reads: "all": the gradients of the loss. "last": of what reads a layer from outside, only what reads the last
            step that it processed in each row, for each layer by itself. That part shows how far back a layer carries a
            gradient, also where the loss or the layer above reads every step and so puts in a new one at each.

    Returns:
        The Flow; `flow[path][k]` is layer k of the module at `path`, `[k, "reverse"]` its other direction, each with
        `.dh`, `.dc`, `.highway` and `.profile("h" | "c" | "highway")`.

    Raises:
        UsageError: no recurrent layer, or one that cannot be opened; a variant of the cell, or resets; dropout between
            layers in training mode; a loss that is no single number or depends on no layer; another word in `reads`.

    Source:
        Werbos 1990, "Backpropagation through time"; Greff et al. 2017, "LSTM: a search space odyssey", appendix A;
        Hochreiter & Schmidhuber 1997, section 3, for the highway ("constant error carousel").
    """
    check_reads(reads)
    output, modules, calls = run_in_graph(model, inputs)
    for call in calls:
        _refuse(call)
    with torch.inference_mode(False), torch.enable_grad():
        loss = loss_fn(output)
    _check(loss)
    found = direct_gradients(loss, calls)
    if all(direct is None for direct in found):
        names = ", ".join(repr(o.path) for o in modules if o.is_layer)
        raise UsageError(f"the loss does not depend on any output of the recurrent layers ({names})")
    made: dict[str, list[CallFlow]] = {o.path: [] for o in modules if o.is_layer}
    with torch.no_grad():
        for call, direct in zip(calls, found, strict=True):
            if direct is None:
                direct = call.read_gradients([None] * len(call.outputs))
            made[call.opened.path].append(_flow_of_call(call, direct, reads))
    return Flow([ModuleFlow(path, of_module) for path, of_module in made.items()], float(loss.detach()))


def check_reads(reads: str) -> None:
    """Raise a UsageError unless `reads` is a word that `gradient_flow` takes."""
    if reads not in get_args(Reads):
        raise UsageError(f"reads is {reads!r}; it can be {' or '.join(map(repr, get_args(Reads)))}")


def _check(loss: Any) -> None:
    if not isinstance(loss, Tensor):
        raise UsageError(f"loss_fn returned a {type(loss).__name__}; it must return a tensor of one number")
    if loss.numel() != 1:
        raise UsageError(
            f"loss_fn returned shape {tuple(loss.shape)}; it must return one number, such as the mean"
        )


def _refuse(call: CaughtCall) -> None:
    lt, module = call.traces[0], call.opened.module
    variant = module.variant if call.opened.hands_out_gates and module.training else lt.variant
    what = variant.names[0] if variant.names else None if lt.borders is None else "resets"
    if what is not None:
        raise UsageError(
            f"{call.opened.label}: gradients are followed through plain cells, and this call has {what}; "
            "the gates, the ledger and push of it can be read"
        )


def _flow_of_call(call: CaughtCall, direct: Direct, reads: Reads) -> CallFlow:
    """From the top layer down: what a layer passes to its input is the direct gradient of the layer below."""
    flows: list[LayerFlow] = []
    of_output = direct.output.double()  # [T, B, D*P]
    for layer in range(call.top, -1, -1):
        keys = call.keys(layer)
        below: list[Tensor] = []
        for d, (key, of_h) in enumerate(zip(keys, of_output.chunk(len(keys), dim=-1), strict=True)):
            k = layer * len(keys) + d
            of_c_n = None if direct.c_n is None else direct.c_n[k].double()
            lt, weights = call.traces[key], call.weights[key]
            grads = OutputGrads(of_h, None, direct.h_n[k].double(), of_c_n)
            shown = grads if reads == "all" else grads._replace(h_seq=of_h * one_hot(lt, at_steps(lt, -1)))
            swept = _sweep(lt, weights, shown, need_x=layer > 0 and reads == "all")
            flows.append(_layer_flow(lt, swept, shown))
            if layer:
                full = swept if reads == "all" else _sweep(lt, weights, grads, need_x=True)
                assert full.x is not None
                below.append(full.x)
        of_output = torch.stack(below).sum(0) if below else of_output
    return CallFlow(sorted(flows, key=lambda lf: (lf.layer, lf.reverse)))


def _sweep(lt: LayerTrace, weights: Weights, grads: OutputGrads, *, need_x: bool) -> StateGrads:
    gates = torch.cat(list(lt.gates.values()), dim=-1) if lt.gates else lt.h  # a plain RNN's only gate is h
    return state_gradients(
        lt.cell,
        gates.double(),
        None if lt.c is None else lt.c.double(),
        lt.h.double(),
        lt.h0.double(),
        None if lt.c0 is None else lt.c0.double(),
        weights.to(torch.float64),
        lt.lengths,
        grads,
        reverse=lt.reverse,
        need_x=need_x,
    )


def _layer_flow(lt: LayerTrace, swept: StateGrads, grads: OutputGrads) -> LayerFlow:
    return LayerFlow(
        lt.path, lt.layer, lt.direction, lt.cell, swept.h, swept.c, _highway(lt, grads), lt.lengths
    )


def _highway(lt: LayerTrace, grads: OutputGrads) -> Tensor | None:
    """`Q_t = direct_t + keep_{t+1}⊙Q_{t+1}`, [T, B, H]."""
    if not lt.gates:
        return None
    assert grads.h_seq is not None and grads.h_n is not None
    last = one_hot(lt, at_steps(lt, -1))  # [T, B, 1], the final state's own gradient belongs to the last step
    direct = grads.h_seq.masked_fill(~lt.valid()[..., None], 0) + last * grads.h_n
    if lt.c is None:
        return read_back(lt, lt.z.double(), direct)[0]
    direct = direct if lt.w_hr is None else direct @ lt.w_hr.double()
    direct = direct * lt.o.double() * (1 - lt.c.double().tanh() ** 2)
    if grads.c_n is not None:
        direct = direct + last * grads.c_n
    return read_back(lt, lt.f.double(), direct)[0]
