"""Command-line flags made from a recipe's config, so that an option is declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from gatewise.errors import UsageError
from gatewise.training.config import Rule, in_order, load_config, make_config, rule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")]
TextColumn = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help="Column with the text.")]
LabelColumn = Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="Column with the label.")]
IdColumn = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column with the ID.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")]


def config_flags(config: type[DataclassInstance], *, without: Collection[str] = ()) -> Callable:
    """Give a command one flag for each option of a config class.

    The command takes `flags: dict[str, Any]`, the options that the user set, by name. `hidden_size` becomes
    `--hidden-size`, a truth value `--bidirectional / --no-bidirectional`, a list one flag with commas.

    Args:
        without: options that the command takes in its own way.
    """
    kinds = get_type_hints(config)
    made = [
        _parameter(item.name, kinds[item.name], rule(item), item.default)
        for item in in_order(config)
        if item.name not in without
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "flags"]

        @wraps(command)
        def called(**values: Any) -> Any:
            flags = {p.name: values.pop(p.name) for p in made}
            return command(
                **values, flags={name: value for name, value in flags.items() if value is not None}
            )

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *made)]
        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        del called.__wrapped__  # what typer reads is the signature above
        return called

    return decorate


def build_config(cls: type[C], file: Path | None, values: dict[str, Any], *, task: str) -> C:
    """The options of a call: the file's where there is one, else the defaults, overridden by `values`."""
    if file is None:
        return make_config(cls, values, "options")
    found = load_config(cls, file, task=task)
    return make_config(
        cls, {item.name: getattr(found, item.name) for item in fields(cls)} | values, "options"
    )


def comma_list(value: str) -> tuple[str, ...]:
    """`a,b,c` as its parts; an empty part is refused."""
    parts = tuple(part.strip() for part in value.split(","))
    if not all(parts):
        raise UsageError(f"{value!r} is not a list of names with commas between them")
    return parts


def _parameter(name: str, kind: Any, limits: Rule, default: Any) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    is_list = getattr(kind, "__origin__", kind) is tuple
    about = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=_help(limits, kind, default),
        metavar=None if kind is bool else _metavar(kind, limits, is_list),
        rich_help_panel=f"Options: {limits.group}",
        show_default=False,
        callback=(lambda value: None if value is None else comma_list(value)) if is_list else None,
    )
    shown = str if is_list else kind
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[shown | None, about]
    )


def _metavar(kind: Any, limits: Rule, is_list: bool) -> str:
    if limits.choices:
        return "|".join(limits.choices)
    return "A,B,…" if is_list else {int: "N", float: "X"}.get(kind, "TEXT")


def _help(limits: Rule, kind: Any, default: Any) -> str:
    shown = {True: "yes", False: "no"}[default] if kind is bool else default
    text = limits.help[0].upper() + limits.help[1:]
    return f"{text} (default {shown})." if shown not in ("", ()) else f"{text}."
