"""Where a command writes: text for a person, or one JSON object for a machine."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from gatewise.shown import printable

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object to standard output, all else to standard error.")
]


class SafeConsole(Console):
    """A console on which no text moves the cursor or turns the direction of writing, wherever it comes from."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = (printable(line) for line in segment.text.split("\n"))
                yield Segment("\n".join(lines), segment.style)


class Output:
    """The two consoles of a command.

    Args:
        as_json: standard output carries the JSON object alone; what is said goes to standard error.

    Attributes:
        text: results for a person. `notes`: what is said on the way, always on standard error.
    """

    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.notes = SafeConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self.text = self.notes if as_json else SafeConsole(highlight=False, markup=False, soft_wrap=True)

    def result(self, values: Mapping[str, Any]) -> None:
        """The JSON object, when it was asked for."""
        if self.as_json:
            print_json(values)


def print_json(values: Mapping[str, Any]) -> None:
    """One object on one line of standard output; a number that is not finite becomes null."""
    print(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False), file=sys.stdout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
