"""Options of a recipe: a flat dataclass, checked when it is made, read from and written to TOML.

A recipe declares its options with `option`, calls `check_options(self)` in `__post_init__`, and gets
`load_config` and `dump_config` for it. TOML has no "nothing", so an option that is off holds 0 or "". What all recipes
have in common is in `gatewise.training.recipe_config`.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import tomli_w

from gatewise.errors import RunError, UsageError
from gatewise.files import read_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT = 1
GROUPS = ("data", "picture", "text", "model", "training", "search")
"""The groups of the recipes' options, in the order in which they are shown."""
MOST_BYTES = 1_000_000
"""Of a configuration: room for the names of thousands of features."""
MOST_DOTS = 20
_QUOTED = re.compile(r"""\"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*""")
C = TypeVar("C", bound="DataclassInstance")
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
}


@dataclass(frozen=True)
class Rule:
    """What an option accepts, in which group it is shown, and one line of help.

    Args:
        low, high: bounds of a number; `low` itself is refused when `above` is set, `high` when `below` is.
        choices: the accepted texts, or None for any.
        path: it names a file or folder, or is empty.
    """

    help: str
    group: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    choices: tuple[str, ...] | None = None
    path: bool = False

    def range(self) -> str:
        """The accepted range in mathematical brackets, e.g. `[0, 1)`."""
        left = "(" if self.above or math.isinf(self.low) else "["
        right = ")" if self.below or math.isinf(self.high) else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def accepts(self, number: float) -> bool:
        over = number > self.low if self.above else number >= self.low
        under = number < self.high if self.below else number <= self.high
        return over and under


def option(default: Any, help: str, group: str, **limits: Any) -> Any:
    """A dataclass field with a default and a `Rule` (limits: low, high, above, below, choices, path)."""
    return field(default=default, metadata={"rule": Rule(help, group, **limits)})


def default(base: type[DataclassInstance], name: str, value: Any, **changes: Any) -> Any:
    """The option `name` of a config that is inherited from, with another default; `changes` of its rule (help, …)."""
    (inherited,) = (item for item in fields(base) if item.name == name)
    return field(default=value, metadata={"rule": replace(rule(inherited), **changes)})


def rule(option_field: Field[Any]) -> Rule:
    """The rule that `option` stored in a field."""
    return option_field.metadata["rule"]


def in_order(config: DataclassInstance | type[DataclassInstance]) -> list[Field[Any]]:
    """The fields of a config by their groups (see `GROUPS`; others after these), each group as it is declared."""
    found = fields(config)
    groups = [*GROUPS, *dict.fromkeys(rule(item).group for item in found)]
    return sorted(found, key=lambda item: groups.index(rule(item).group))


def check_options(config: DataclassInstance) -> None:
    """Check every option of a config against its type and rule; whole numbers are accepted for floats.

    Raises:
        UsageError: names the option, its value and what it accepts.
    """
    kinds = _kinds(type(config))
    for item in fields(config):
        value = _typed(item.name, getattr(config, item.name), kinds[item.name])
        limits = rule(item)
        if isinstance(value, int | float) and not isinstance(value, bool) and not limits.accepts(value):
            raise UsageError(f"{item.name} is {value:g}; it must be in {limits.range()}")
        if limits.choices is not None and value not in limits.choices:
            raise UsageError(f"{item.name} is {value!r}; it must be one of {', '.join(limits.choices)}")
        object.__setattr__(config, item.name, value)


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean X?` for the known name most like `name`, or an empty text."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def make_config(cls: type[C], values: Mapping[str, Any], where: str = "options") -> C:
    """A config of class `cls` from named values; `where` begins every error (a file, or what was called).

    Raises:
        UsageError: an unknown name (with the nearest known one), a wrong type, a value out of range.
    """
    known = [item.name for item in fields(cls)]
    for name in values:
        if name not in known:
            raise UsageError(f"{where}: unknown option {name!r}{nearest(name, known)}")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def load_config(cls: type[C], path: str | Path, *, task: str | None = None) -> C:
    """Read a config from a TOML file; missing options keep their defaults.

    Args:
        task: the task that the file must be for, when it names one.

    Raises:
        RunError: no such file, not TOML, or written by a newer version.
        UsageError: another task, or an option that `make_config` refuses.
    """
    values = read_toml(path)
    check_format(values.pop("format", FORMAT), path)
    named = values.pop("task", task)
    if task is not None and named != task:
        raise UsageError(f"{path}: the file is for the task {named!r}, not {task!r}")
    return make_config(cls, values, str(path))


def dump_config(
    config: DataclassInstance, path: str | Path | None, *, task: str, format: int = FORMAT
) -> str:
    """Every option as TOML, headed by format and task; written to `path` unless it is None, and returned."""
    values = {item.name: getattr(config, item.name) for item in in_order(config)}
    head: dict[str, Any] = {"format": format, "task": task}
    text = tomli_w.dumps(head | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file; RunError when it is missing, too large, or is not TOML in UTF-8."""
    text = read_text(Path(path), MOST_BYTES, RunError)
    if '"""' in text or "'''" in text:
        raise RunError(f"{path}: not a TOML file of options (a text over several lines)")
    # The parser takes the square of the parts of a dotted key, and options have none.
    dotted = next((line for line in _QUOTED.sub("", text).split("\n") if line.count(".") > MOST_DOTS), None)
    if dotted is not None:
        raise RunError(f"{path}: not a TOML file of options (a line with {dotted.count('.'):,} dots)")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError:
        raise RunError(f"{path}: not a TOML file of options (nested too deeply)") from None
    except ValueError as error:  # also a number of thousands of digits
        raise RunError(f"{path}: not a TOML file ({error})") from None


def check_format(found: Any, path: str | Path, newest: int = FORMAT) -> None:
    """Refuse a format number that this version does not know."""
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise RunError(f"{path}: format is {found!r}; it must be a whole number from 1")
    if found > newest:
        raise RunError(
            f"{path}: written by a newer version (format {found}; this version reads up to {newest})"
        )


def _kinds(cls: type[Any]) -> dict[str, type]:
    hints = get_type_hints(cls)
    return {item.name: getattr(hints[item.name], "__origin__", hints[item.name]) for item in fields(cls)}


def _typed(name: str, value: Any, kind: type) -> Any:
    """`value` as the declared type, where nothing is lost by it; otherwise refused."""
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return tuple(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is not tuple and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{name} is {value!r}; it must be {_NAMES[kind]}")
