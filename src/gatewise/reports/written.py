"""The page of a written sequence: where the writer looked, and what was in its memory at each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewise.reports.captions import share
from gatewise.reports.document import Document
from gatewise.reports.page import Word
from gatewise.reports.rendering import render_document
from gatewise.reports.word_marks import WordMark, signed, word_marks

MOST_STEPS = 150
"""Tokens of which a page shows the memory; with more it would be too long to be sent."""
CELL = 22.0
"""Side of a square of the picture, in pixels."""
LONGEST_LABEL = 18
"""Characters of a word beside the picture."""
_STYLES = ("page/base", "page/words", "page/tables", "written/written", "page/print")


@dataclass(frozen=True)
class Row:
    """A line of a step's table; "" where there is no such number."""

    word: str
    part: str
    looked: float | None
    held: float
    push: float


@dataclass(frozen=True)
class WrittenStep:
    """One written token.

    Attributes:
        piece: as it stands in the text. new_word: whether a word begins with it.
        name, rival: what it and the strongest other token are called.
        terms: the margin as a sum, the margin itself the last one.
        source, earlier: words with their held and push; the first of `earlier` is the beginning.
        looked: how far it looked at each word of the source.
        start_held: the share of the writer's memory that its first state still has.
        residual: what the sum leaves open.
    """

    piece: str
    new_word: bool
    name: str
    rival: str
    probability: float
    rival_probability: float
    terms: Sequence[tuple[str, float]]
    source: Sequence[Word]
    earlier: Sequence[Word]
    looked: Sequence[float]
    start_held: float
    residual: float

    @property
    def rows(self) -> list[Row]:
        """Every word with its numbers."""
        source = zip(self.source, self.looked, strict=True)
        return [Row(word.text, "read", looked, word.held, word.push) for word, looked in source] + [
            Row(word.text, "written", None, word.held, word.push) for word in self.earlier
        ]


@dataclass(frozen=True)
class Written(Document):
    """Everything on the page, as values.

    Attributes:
        source, target: the texts. given: whether the target was given.
        found: text, log-probability and score of what the search found, the best first.
        columns, rows: the words that were read and written; attention: [rows][columns], 0 to 1.
        steps: of every token; has_ledger: whether they have held and push.
        notes: sentences on this model.
        command: with which the page was made, or "".
    """

    source: str
    target: str
    given: bool
    log_probability: float
    complete: bool
    found: Sequence[tuple[str, float, float]]
    columns: Sequence[str]
    rows: Sequence[str]
    attention: Sequence[Sequence[float]]
    steps: Sequence[WrittenStep]
    has_ledger: bool
    notes: Sequence[str]
    command: str
    version: str

    def _render(self) -> str:
        steps = self.steps[:MOST_STEPS]
        return render_document(
            "written.html.j2",
            f"Why: {self.target[:80] or 'nothing'}",
            styles=_STYLES,
            scripts=["written/written"],
            page=self,
            picture=attention_picture(self.columns, self.rows, self.attention),
            steps=[(step, *_marks(step)) for step in steps],
            start=opening(steps),
            left_out=len(self.steps) - len(steps),
            share=share,
            signed=signed,
        )


def _marks(step: WrittenStep) -> tuple[list[WordMark], list[WordMark]]:
    """Of the source and of what was written before, on one scale."""
    marks = word_marks([*step.source, *step.earlier])
    return marks[: len(step.source)], marks[len(step.source) :]


@dataclass(frozen=True)
class Square:
    """A square of the picture at (x, y); how full it is, and what it says."""

    x: float
    y: float
    weight: float
    label: str


@dataclass(frozen=True)
class Picture:
    """Attention as squares in a view box; labels are text, x and y."""

    width: float
    height: float
    left: float
    top: float
    squares: Sequence[Square]
    columns: Sequence[tuple[str, float, float]]
    rows: Sequence[tuple[str, float, float]]


def attention_picture(
    columns: Sequence[str], rows: Sequence[str], attention: Sequence[Sequence[float]]
) -> Picture:
    """Geometry of the picture: what was read from left to right, what was written from top to bottom."""
    left = 12 + 7.5 * max((len(_short(row)) for row in rows), default=0)
    top = 20 + 6.6 * max((len(_short(column)) for column in columns), default=0)
    squares = [
        Square(
            left + CELL * s, top + CELL * t, weight, f"{row} looked at {column}: {share(weight)}"
        )
        for t, (row, weights) in enumerate(zip(rows, attention, strict=True))
        for s, (column, weight) in enumerate(zip(columns, weights, strict=True))
    ]  # fmt: skip
    return Picture(
        left + CELL * len(columns) + top,  # the last label leans to the right
        top + CELL * len(rows) + 4,
        left,
        top,
        squares,
        [(_short(column), left + CELL * (s + 0.5), top - 8) for s, column in enumerate(columns)],
        [(_short(row), left - 8, top + CELL * (t + 0.68)) for t, row in enumerate(rows)],
    )


def _short(word: str) -> str:
    return word if len(word) <= LONGEST_LABEL else word[: LONGEST_LABEL - 1] + "…"


def opening(steps: Sequence[WrittenStep]) -> int:
    """The step that the page opens with: the longest beginning of a word, and not the end where there is another."""
    return max(range(len(steps) - 1), key=lambda t: (steps[t].new_word, len(steps[t].piece)), default=0)
