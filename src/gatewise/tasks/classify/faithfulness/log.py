"""Finished texts in a file of JSON lines, so that a study can be interrupted, continued, and given more rankings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gatewise.errors import UsageError
from gatewise.files import parse_json, read_lines
from gatewise.tasks.classify.faithfulness.curves import SHARES, Drops

MOST_BYTES = 200_000_000
"""Of a log, which has some 6,000 a text."""


@dataclass(frozen=True)
class Measured:
    """One text.

    Args:
        place: among the data, from 0.
        words: how many of it the model reads.
        label: the predicted one. probability: of that label, calibrated.
        drops: what the answer loses, by ranking.
    """

    place: int
    words: int
    label: str
    probability: float
    drops: dict[str, Drops] = field(default_factory=dict)


class FaithfulnessLog:
    """The texts of a study.

    The first line is the setup: model, data, seed and what else the figures hang on. Each other line is a text with
    some of its rankings; several lines of a text are one.

    Args:
        path: the file, which may exist; None keeps nothing.
        setup: of this call.

    Raises:
        UsageError: the file holds something else, or another setup; the sentence names what differs.
    """

    def __init__(self, path: str | Path | None, setup: Mapping[str, Any]):
        self.path, self.texts = Path(path) if path else None, dict[int, Measured]()
        if self.path and self.path.exists():
            head, *rest = read_lines(self.path, MOST_BYTES, UsageError, _parsed) or [setup]
            self._check(head, setup)
            for measured in rest:
                self._take(measured)
        if self.path and not (self.path.exists() and self.path.stat().st_size):
            self._append({"setup": dict(setup)})

    def _check(self, head: Any, setup: Mapping[str, Any]) -> None:
        if not isinstance(head, Mapping):
            raise UsageError(f"{self.path}, line 1: not the setup of a study of faithfulness")
        for name, value in setup.items():
            if head.get(name) != value:
                raise UsageError(
                    f"{self.path}: was measured with {name} {head.get(name)!r}, and this call has {value!r}; name "
                    "another folder"
                )

    def _take(self, measured: Any) -> None:
        if not isinstance(measured, Measured):
            raise UsageError(f"{self.path}: holds the setup of a study twice")
        known = self.texts.setdefault(measured.place, measured)
        known.drops.update(measured.drops)

    def add(self, measured: Measured) -> None:
        """Keep a text, or more rankings of one."""
        self._append(asdict(measured))
        self._take(measured)

    def _append(self, values: Mapping[str, Any]) -> None:
        if self.path:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(values, allow_nan=False) + "\n")


def _parsed(line: str, place: str) -> Mapping[str, Any] | Measured:
    fault = UsageError(f"{place}: neither the setup nor a text of a study of faithfulness")
    try:
        values = parse_json(line, place, UsageError)
        if isinstance(setup := values.get("setup"), dict):
            return setup
        named = {name: Drops(**drops) for name, drops in values["drops"].items()}
        measured = Measured(**(values | {"drops": named}))
    except (UsageError, TypeError, KeyError, AttributeError):
        raise fault from None
    curves = [curve for drops in measured.drops.values() for curve in asdict(drops).values()]
    numbers = [measured.place, measured.words, measured.probability]
    if isinstance(measured.label, str) and all(map(_is_number, numbers)) and all(map(_is_curve, curves)):
        return measured
    raise fault


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and len(value) == len(SHARES) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    """Finite, and not so large a whole number that it is no float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
