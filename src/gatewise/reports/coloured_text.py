"""Texts coloured by the state of a unit, one under the other: a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatewise.reports.document import Document
from gatewise.reports.rendering import render_document

LEVELS = 10
"""Steps of the ground: every colour is a class, and no style stands in an element."""


class Mark(NamedTuple):
    """A token: its text, how high the unit's state is after it (0 to `LEVELS`), whether the signal is high there, and
    whether a line ends with it."""

    text: str
    level: int
    is_high: bool
    ends_line: bool


@dataclass(frozen=True)
class ColouredText:
    """A text with the state of one unit. low, high: the states that levels 0 and `LEVELS` stand for."""

    heading: str
    caption: str
    low: float
    high: float
    marks: Sequence[Mark]


@dataclass(frozen=True)
class ColouredTexts(Document):
    """A page of such texts; `notes` stand at its end."""

    title: str
    texts: Sequence[ColouredText]
    notes: Sequence[str] = ()

    def _render(self) -> str:
        return render_document(
            "coloured_text.html.j2",
            self.title,
            styles=["page/base", "coloured_text"],
            scripts=[],
            heading=self.title,
            texts=self.texts,
            notes=self.notes,
            levels=range(LEVELS + 1),
        )
