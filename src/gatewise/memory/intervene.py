"""`intervene`: run a model with gates held, states clamped or writes erased in its recurrent layers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from gatewise.cells import CELLS
from gatewise.errors import UsageError, UsageTypeError
from gatewise.layers.base import Recurrent
from gatewise.memory.changed_pass import ChangedPass
from gatewise.memory.interventions import Clamp, Erase, Hold, check_gate_value, chosen
from gatewise.memory.modules import Opened, find
from gatewise.memory.places import in_brackets
from gatewise.memory.standing_in import StandIn, stand_in_of


@contextmanager
def intervene(model: nn.Module, *interventions: Clamp | Hold | Erase) -> Iterator[None]:
    """Inside the block every call of the named layers runs with the interventions; afterwards `model` is as before.

    A layer and direction that is intervened upon runs step by step in plain PyTorch, which is slower than its kernel;
    everything else runs as it did, but for the other layers of the same torch.nn module, which run in Gatewise's
    kernels. Within a step gates are held as they are computed, then the memory is written, writes are erased, states
    are clamped, and all that follows reads what was put there. Gradients flow through all of it; none flows back from a
    held gate or a clamped state to what it replaced. Of several settings of one unit the last one stands. Blocks can be
    nested, and `gw.record` sees the changed run. Every thread that runs the model feels the block.

    Args:
        model: holds torch.nn or gatewise recurrent layers, at any depth.
        interventions: `Clamp`, `Hold` and `Erase`, any number of them.

    Raises:
        UsageError: no recurrent layer; a compiled, scripted or quantised one, or a cell that is called step by step; a
            module, layer, gate, state or unit that is not there; a gate's value out of its range. At a call: a row or
            step that is not there, a value of another shape, two erasures of one write.
    """
    modules = find(model)
    by_module: dict[str, dict[tuple[int, bool], list[Clamp | Hold | Erase]]] = {}
    for intervention in interventions:
        if not isinstance(intervention, Clamp | Hold | Erase):
            raise UsageTypeError(f"{intervention!r} is no intervention; there are Clamp, Hold and Erase")
        opened = _module(modules, intervention.path)
        place = _place(opened, intervention)
        _check(opened, place, intervention)
        by_module.setdefault(opened.path, {}).setdefault(place, []).append(intervention)
    with ExitStack() as stack:
        for opened in modules:
            if opened.path in by_module:
                stack.enter_context(_changed(opened, by_module[opened.path]))
        yield


@contextmanager
def _changed(opened: Opened, by_pass: dict[tuple[int, bool], list[Clamp | Hold | Erase]]) -> Iterator[None]:
    with _runner(opened) as layer:
        before = layer.changes
        layer.changes = dict(before)
        for place, interventions in by_pass.items():
            outer = before.get(place)
            earlier = outer.interventions if isinstance(outer, ChangedPass) else ()
            layer.changes[place] = ChangedPass(_label(opened, place), opened.cell, (*earlier, *interventions))
        try:
            yield
        finally:
            layer.changes = before


@contextmanager
def _runner(opened: Opened) -> Iterator[Recurrent]:
    """The layer of ours that runs the module's calls: itself, or one in its place."""
    module, standing = opened.module, stand_in_of(opened.module)
    if isinstance(module, Recurrent) or standing is not None:
        yield module if standing is None else standing.layer
        return
    stand_in = StandIn(opened)
    patched = vars(module).get("forward")  # by somebody else
    module.forward = stand_in
    try:
        yield stand_in.layer
    finally:
        del module.forward
        if patched is not None:
            module.forward = patched


def _module(modules: list[Opened], path: str | None) -> Opened:
    known = ", ".join(repr(opened.path) for opened in modules)
    if path is None and len(modules) > 1:
        raise UsageError(
            f"the model holds {len(modules)} recurrent modules; say which with path=, of {known}"
        )
    found = next((opened for opened in modules if path in (None, opened.path)), None)
    if found is None:
        raise UsageError(f"there is no recurrent module at {path!r}; the recurrent modules are {known}")
    if not found.is_layer:
        raise UsageError(
            f"{found.label} is a {type(found.module).__name__} that is called step by step; change its state between "
            "the calls, or use a layer (LSTM, GRU, RNN)"
        )
    return found


def _place(opened: Opened, intervention: Clamp | Hold | Erase) -> tuple[int, bool]:
    """(layer, reverse)."""
    module, key = opened.module, intervention.layer
    keys = range(module.num_layers)
    if type(key) is int and key in keys:
        return key, False
    if module.bidirectional and isinstance(key, tuple) and key in [(k, "reverse") for k in keys]:
        return key[0], True
    each = "each of them also reverse" if module.bidirectional else "none of them reverse"
    raise UsageError(
        f"{opened.label} has no layer {in_brackets(key)}; it has {module.num_layers}, counted from 0, {each}"
    )


def _label(opened: Opened, place: tuple[int, bool]) -> str:
    return f"{opened.label}, layer {place[0]}" + (" reverse" if place[1] else "")


def _check(opened: Opened, place: tuple[int, bool], intervention: Clamp | Hold | Erase) -> None:
    """Raise a UsageError unless the layer has what the intervention names."""
    label, module, kind = _label(opened, place), opened.module, CELLS[opened.cell]
    gates = () if opened.cell.startswith("rnn") else kind.gates
    states = ("c", "h") if kind.has_c else ("h",)
    size = module.hidden_size
    if isinstance(intervention, Erase):
        if not gates:
            raise UsageError(
                f"{label}: a plain RNN ({opened.cell}) keeps no sum of what it wrote, so no write of it can be erased"
            )
    elif isinstance(intervention, Hold):
        if not gates:
            raise UsageError(
                f"{label}: a plain RNN ({opened.cell}) has no gates to hold; its h can be clamped"
            )
        if intervention.gate not in gates:
            raise UsageError(
                f"{label}: a {opened.cell} has no gate {intervention.gate!r}; it has {', '.join(gates)}"
            )
        if intervention.gate == "i" and isinstance(module, Recurrent) and module.variant.coupled:
            raise UsageError(f"{label}: its gates are coupled, i = 1 - f; hold f")
        check_gate_value(label, intervention)
    elif intervention.state not in states:
        raise UsageError(
            f"{label}: a {opened.cell} has no state {intervention.state!r}; it has {' and '.join(states)}"
        )
    elif intervention.state == "h":
        size = getattr(module, "proj_size", 0) or size
    chosen(label, "units", intervention.units, size)
