"""What shapes.toml says: the shapes, and the bar of each row."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

_FILE = Path(__file__).parent / "shapes.toml"


class Shape(NamedTuple):
    """T steps, B rows, I features, H units."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))

    @property
    def flops(self) -> int:
        """Operations of an LSTM's matrix products in a forward pass; training has three times as many."""
        return 2 * self.T * self.B * 4 * self.H * (self.I + self.H)


@dataclass(frozen=True)
class Bar:
    """What a row is called and has to come to; see shapes.toml.

    Attributes:
        work: what is measured, in Markdown.
        at_least, at_most: bounds of the figure; at most one of them is there.
        aim: the bound that is wished for, on the same side.
        judged: which end keeps the bound, the figure itself or the lower end of its interval.
    """

    work: str
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None
    judged: Literal["value", "low"] = "value"

    def keeps(self, figure: float, bound: float) -> bool:
        return figure <= bound if self.at_most is not None else figure >= bound

    @property
    def bound(self) -> float | None:
        return self.at_least if self.at_most is None else self.at_most


@cache
def _plan() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def shapes(name: str) -> list[Shape]:
    """The list "small", "large" or "ragged"."""
    return [Shape(*shape) for shape in _plan()["shapes"][name]]


def bars() -> dict[str, Bar]:
    """Every row's bar, in the order of the table."""
    return {name: Bar(**entries) for name, entries in _plan()["rows"].items()}
