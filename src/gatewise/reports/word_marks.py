"""Words as the page shows them: classes of the style sheet for held and push, and rows of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gatewise.reports.captions import share
from gatewise.reports.page import Floats, Page, Word
from gatewise.reports.payload import retained, write_sizes
from gatewise.reports.view import printable

HELD_LEVELS = 10
PUSH_LEVELS = 5
"""Steps of shade and of line: every drawing is a class, and no style stands in an element."""


@dataclass(frozen=True)
class WordMark:
    """A word of the text; `label` says its numbers to those who do not see the marks."""

    at: int
    text: str
    space: str
    classes: str
    label: str
    kept: bool


@dataclass(frozen=True)
class WordRow:
    """A word in the table; "" where there is no such number."""

    text: str
    held: str
    push: str
    written: str
    retained: str
    occlusion: str


def word_marks(words: Sequence[Word]) -> list[WordMark]:
    most_held = max((word.held for word in words if word.held > 0), default=1.0)
    most_push = max((abs(word.push) for word in words if abs(word.push) > 0), default=1.0)
    return [
        WordMark(
            at=at,
            text=word.text,
            space=on_one_line(word.space),
            classes=" ".join(_classes(word, most_held, most_push)),
            label=_label(word),
            kept=word.kept,
        )
        for at, word in enumerate(words)
    ]


def on_one_line(text: str) -> str:
    """Every tab, line end and other blank as a plain blank."""
    return "".join(" " if c.isspace() else c for c in text)


def _classes(word: Word, most_held: float, most_push: float) -> list[str]:
    found = ["w"]
    if math.isfinite(word.held):
        found.append(f"held-{round(HELD_LEVELS * max(word.held, 0.0) / most_held)}")
    level = round(PUSH_LEVELS * abs(word.push) / most_push) if math.isfinite(word.push) else 0
    if level:
        found.append(f"push-{level}" if word.push > 0 else f"pull-{level}")
    return found + [name for name in ("unknown", "cut") if getattr(word, name)]


def _label(word: Word) -> str:
    parts = [word.text]
    if math.isfinite(word.held):
        parts.append(f"held {share(word.held)}")
    if math.isfinite(word.push):
        parts.append(f"push {signed(word.push)}")
    parts += [name for name in ("kept", "unknown") if getattr(word, name)]
    return ", ".join([*parts, "not read"] if word.cut else parts)


def word_rows(page: Page) -> list[WordRow]:
    """Rows of the table, with the first layer's numbers; the script puts in those of the others."""
    written: dict[int, str] = {}
    left: dict[int, str] = {}
    if page.layers:
        shown = page.layers[0]
        written = _by_word(write_sizes(shown), shown.positions.tolist())
        left = _by_word(retained(shown), shown.positions.tolist())
    return [
        WordRow(
            text=printable(word.text),
            held=share(word.held) if math.isfinite(word.held) else "",
            push=signed(word.push, 4) if math.isfinite(word.push) else "",
            written=written.get(at, ""),
            retained=left.get(at, ""),
            occlusion=signed(word.occlusion, 4) if math.isfinite(word.occlusion) else "",
        )
        for at, word in enumerate(page.words)
    ]


def _by_word(values: Floats | None, positions: Sequence[int]) -> dict[int, str]:
    if values is None:
        return {}
    return {at: f"{value:.4f}" for at, value in zip(positions, values, strict=True)}


def signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
