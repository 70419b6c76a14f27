"""The state of an optimizer as tensors and JSON, and back into an optimizer of the same kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gatewise.errors import GatewiseError, RunError, UsageError

# What each class keeps for a parameter: single numbers, and tensors of the parameter's shape and dtype.
_NUMBERS = {"Adam": {"step"}, "AdamW": {"step"}, "ASGD": {"step", "eta", "mu"}, "SGD": set()}
_TENSORS = {
    "Adam": {"exp_avg", "exp_avg_sq"},
    "AdamW": {"exp_avg", "exp_avg_sq"},
    "ASGD": {"ax"},
    "SGD": {"momentum_buffer"},
}
_STATE = re.compile(r"state\.([0-9]{1,9})\.(.+)")
_HYPER = re.compile(r"group\.([0-9]{1,9})\.(.+)")

State = dict[int, dict[str, Any]]
"""By parameter, numbered over all groups, and by name."""


def pack_optimizer(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of an Adam, AdamW, SGD or ASGD, for `unpack_optimizer`.

    Returns:
        Tensors named `state.N.NAME` (of parameter N) and `group.N.NAME` (hyper-parameters that are tensors), on the
        CPU; they share the optimizer's memory where that is the CPU's, so save them before the next step. And JSON:
        the class, each parameter's shape, each group's other hyper-parameters, and the names of states that are null.

    Raises:
        UsageError: an optimizer of another class.
    """
    found = optimizer.state_dict()
    _check_states(optimizer, found["state"], UsageError, f"{type(optimizer).__name__} cannot be saved")
    states = {
        f"state.{number}.{name}": value
        for number, entry in found["state"].items()
        for name, value in entry.items()
    }
    groups = found["param_groups"]
    states |= {
        f"group.{number}.{name}": value
        for number, group in enumerate(groups)
        for name, value in group.items()
        if isinstance(value, Tensor)
    }
    tensors = {key: value.detach().cpu() for key, value in states.items() if value is not None}
    return tensors, {
        "class": type(optimizer).__name__,
        "shapes": [list(parameter.shape) for parameter in _parameters(optimizer)],
        "groups": [
            {name: _plain(value) for name, value in group.items() if not isinstance(value, Tensor)}
            for group in groups
        ],
        "null": [key for key, value in states.items() if value is None],
    }


def unpack_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Put a packed state into an optimizer of the same class, shapes and switches; every bit of it comes back.

    Hyper-parameters that the packed state lacks, as those of a newer PyTorch, stay as the optimizer has them.

    Raises:
        RunError: names what does not fit: the class, a shape, the groups, a hyper-parameter, a state.
    """
    where = f"the optimizer's state does not fit this {type(optimizer).__name__}"
    if state.get("class") != type(optimizer).__name__:
        raise RunError(f"{where}: it is that of {str(state.get('class'))[:80]!r}")
    _check_shapes(where, _parameters(optimizer), state.get("shapes"))
    saved, held = _sorted(where, optimizer, tensors, state.get("null"))
    _check_states(optimizer, saved, RunError, where)
    groups = _groups(where, optimizer, held, state.get("groups"))
    optimizer.load_state_dict({"state": saved, "param_groups": groups})
    _restore_dtypes(optimizer, saved)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    """In the order of the numbers that `state_dict` gives them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check_states(optimizer: Optimizer, states: State, error: type[GatewiseError], where: str) -> None:
    """Refuse states that a step would not find as it left them: kernels trust their names, shapes and dtypes."""
    kind = type(optimizer).__name__
    if kind not in _TENSORS:
        raise error(f"{where}: only the state of {', '.join(_TENSORS)} is known")
    parameters = [(p, group) for group in optimizer.param_groups for p in group["params"]]
    for number, entry in states.items():
        parameter, group = parameters[number]
        shaped = _TENSORS[kind] | ({"max_exp_avg_sq"} if group.get("amsgrad") else set())
        for name in sorted(entry.keys() ^ (_NUMBERS[kind] | shaped)):
            fault = "is unknown" if name in entry else "is missing"
            raise error(f"{where}: state.{number}.{name[:80]} {fault}")
        for name, value in entry.items():
            if value is None and kind == "SGD":  # no momentum
                continue
            fault = _fault(value, parameter if name in shaped else None)
            if fault:
                raise error(f"{where}: state.{number}.{name} {fault}")


def _fault(value: Any, parameter: Tensor | None) -> str:
    """What is wrong with a state that must be like the parameter, or one number without any; "" when nothing is."""
    if not isinstance(value, Tensor):
        return "is no tensor"
    if parameter is None:
        return "" if value.ndim == 0 and value.is_floating_point() else "is not one floating-point number"
    if value.shape != parameter.shape or value.dtype != parameter.dtype:
        have, need = (f"{t.dtype} {list(t.shape)}".removeprefix("torch.") for t in (value, parameter))
        return f"is {have}; its parameter is {need}"
    return ""


def _check_shapes(where: str, parameters: list[Tensor], shapes: Any) -> None:
    if not isinstance(shapes, list) or len(shapes) != len(parameters):
        count = len(shapes) if isinstance(shapes, list) else "no"
        raise RunError(f"{where}: it has {count} parameters; {len(parameters)} are needed")
    for number, (shape, parameter) in enumerate(zip(shapes, parameters, strict=True)):
        need = list(parameter.shape)
        if shape != need:
            raise RunError(f"{where}: parameter {number} has the shape {str(shape)[:80]}; {need} is needed")


def _sorted(
    where: str, optimizer: Optimizer, tensors: Mapping[str, Tensor], null: Any
) -> tuple[State, list[dict[str, Tensor]]]:
    """States by parameter and hyper-parameters by group; copies, so that nobody else holds what a step changes."""
    if not isinstance(null, list) or not all(isinstance(key, str) for key in null):
        raise RunError(f"{where}: null is not a list of names")
    parameters, states = len(_parameters(optimizer)), {}
    held: list[dict[str, Tensor]] = [{} for _ in optimizer.param_groups]
    for key, value in [*tensors.items(), *((key, None) for key in null)]:
        state, hyper = _STATE.fullmatch(key), _HYPER.fullmatch(key)
        if state and int(state[1]) < parameters:
            states.setdefault(int(state[1]), {})[state[2]] = None if value is None else value.clone()
        elif hyper and int(hyper[1]) < len(held) and value is not None:
            held[int(hyper[1])][hyper[2]] = value.clone()
        else:
            raise RunError(f"{where}: {key[:80]!r} is unknown among {parameters} parameters")
    return states, held


def _groups(
    where: str, optimizer: Optimizer, held: list[dict[str, Tensor]], groups: Any
) -> list[dict[str, Any]]:
    current = optimizer.state_dict()["param_groups"]
    if not isinstance(groups, list) or len(groups) != len(current):
        count = len(groups) if isinstance(groups, list) else "no"
        raise RunError(f"{where}: it has {count} groups; {len(current)} are needed")
    return [
        now | _group(f"{where}: group {number}", now, group, held[number])
        for number, (now, group) in enumerate(zip(current, groups, strict=True))
    ]


def _group(where: str, now: Mapping[str, Any], group: Any, held: Mapping[str, Tensor]) -> dict[str, Any]:
    if not isinstance(group, dict):
        raise RunError(f"{where} is not an object")
    found = {}
    for name, value in {**group, **held}.items():
        if name not in now:
            raise RunError(f"{where} has the unknown hyper-parameter {name[:80]!r}")
        if not _alike(value, now[name]) or (name == "params" and value != now[name]):
            raise RunError(f"{where}: {name} is {str(value)[:80]}; here it is {str(now[name])[:80]}")
        found[name] = tuple(value) if isinstance(now[name], tuple) else value
    return found


def _alike(value: Any, now: Any) -> bool:
    """Whether a packed hyper-parameter can stand where `now` stands: any number for a number, else the same value."""
    if isinstance(now, tuple):
        return isinstance(value, list) and len(value) == len(now) and all(map(_alike, value, now))
    if isinstance(now, Tensor):
        return isinstance(value, Tensor) and value.shape == now.shape and value.dtype == now.dtype
    if isinstance(now, int | float) and not isinstance(now, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(now) and value == now


@torch.no_grad()
def _restore_dtypes(optimizer: Optimizer, saved: State) -> None:
    """`load_state_dict` casts states to their parameter's dtype, ASGD's numbers too; undo that."""
    parameters = _parameters(optimizer)
    for number, entry in saved.items():
        state = optimizer.state[parameters[number]]
        for name, value in entry.items():
            if value is not None and state[name].dtype != value.dtype:
                state[name] = value.to(state[name].device)
