"""Somebody's own model and inputs: imported, built, filled and bound to `forward`, each fault one sentence."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gatewise.cli.safe_tensors import CONVERT_INPUTS, CONVERT_WEIGHTS, read_safetensors
from gatewise.errors import DataError, GatewiseError, UsageError
from gatewise.training.run import fill

FIRST = ("x", "input", "inputs")  # names for the first argument, whatever `forward` calls it
SHOWN = 3


@contextmanager
def current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def foreign_code(what: str) -> Iterator[None]:
    """Code that is not ours runs: what it prints goes to standard error, what it raises becomes one sentence.

    Args:
        what: for the sentence, such as "importing 'model' failed".

    Raises:
        GatewiseError: the code raised something, or ended the program.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except GatewiseError:
        raise
    except (Exception, SystemExit) as error:
        raise GatewiseError(f"{what}: {type(error).__name__}: {error} (--debug shows where)") from error


def find_named(name: str) -> Any:
    """What `package.module:name` stands for; importing the module runs it.

    Raises:
        UsageError: the text has another form; there is no such module, or no such name in it.
        GatewiseError: the module could not be imported.
    """
    module_name, _, attribute = name.partition(":")
    is_file = module_name.endswith(".py") or "/" in module_name
    if is_file or not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        hint = f", such as {Path(module_name).stem}:{attribute or 'build_model'}" if is_file else ""
        raise UsageError(f"{name!r} is not of the form package.module:function{hint}")
    try:
        with foreign_code(f"importing {module_name!r} failed"):
            module = importlib.import_module(module_name)
    except GatewiseError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{module_name}.".startswith(f"{cause.name}."):
            raise UsageError(
                f"there is no module {cause.name!r}, neither in {Path.cwd()} nor among the installed packages"
            ) from error
        raise
    if not hasattr(module, attribute):
        near = get_close_matches(attribute, dir(module), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{module_name} has no {attribute!r}{hint}")
    return getattr(module, attribute)


def build_model(name: str) -> nn.Module:
    """What `package.module:function` returns when it is called without arguments: on the CPU, in eval mode."""
    build = find_named(name)
    if not callable(build):
        raise UsageError(f"{name} is a {type(build).__name__}; a function that returns the model is needed")
    with foreign_code(f"{name}(), called without arguments, failed"):
        model = build()
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name}() returned a {type(model).__name__}; a torch.nn.Module is needed")
    return model.cpu().eval()


def fill_model(model: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file, strictly: the same names, shapes and kinds of number.

    A tensor that the model holds under several names (tied weights) need stand in the file only once.
    """
    weights = read_safetensors(path, CONVERT_WEIGHTS)
    wanted = model.state_dict()
    for name in wanted.keys() - weights.keys():
        twins = [key for key in weights.keys() & wanted.keys() if _same_memory(wanted[key], wanted[name])]
        if twins:
            weights[name] = weights[twins[0]]
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    faults = (
        [f"{len(missing)} of the model's {len(wanted)} tensors are missing ({_some(missing)})"]
        if missing
        else []
    )
    faults += [f"{len(extra)} in the file are not part of the model ({_some(extra)})"] if extra else []
    if faults:
        raise DataError(f"{path}: {', and '.join(faults)}")
    fill(model, weights, path, needed_by="the model")


def read_inputs(model: nn.Module, path: Path) -> tuple[Tensor, ...] | dict[str, Tensor]:
    """The arguments of `model.forward` from a safetensors file: positional ones, or all by name.

    A tensor becomes the argument of its name; x, input or inputs becomes the first one, and so does a single tensor of
    any name.

    Raises:
        DataError: the tensors do not fit the arguments.
    """
    tensors = read_safetensors(path, CONVERT_INPUTS)
    signature = inspect.signature(model.forward)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    holds = f"{path} holds {', '.join(sorted(tensors)) or 'no tensor'}"
    first = [name for name in tensors if name not in signature.parameters]
    if len(tensors) != 1:
        first = [name for name in first if name in FIRST]
    if parameters and parameters[0].kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        first = []  # nothing is taken by its place
    positional = [tensors.pop(name) for name in first]
    try:
        bound = signature.bind(*positional, **tensors)
    except TypeError as error:
        plain = signature.replace(parameters=parameters, return_annotation=signature.empty)
        raise DataError(f"{holds}; {type(model).__name__}.forward takes {plain}: {error}") from None
    named = dict(zip(signature.parameters, bound.args, strict=False))
    return {**named, **bound.kwargs} if bound.kwargs else bound.args


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.numel() > 0


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
