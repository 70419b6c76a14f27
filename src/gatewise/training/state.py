"""How far a training has come, apart from tensors: what a checkpoint holds as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gatewise.errors import RunError


@dataclass
class State:
    """Counters, sums and rows of a training.

    Args:
        step: steps of the optimiser that are done.
        epoch: whole epochs that are done.
        batch: batches of the running epoch that are done.
        total, count: sum of the losses since the last row, and of how many examples.
        history: the rows; see `Outcome`.
        best: figures by which validations are ranked, of the best one; empty before the first.
        best_epoch: the epoch of that validation, from 1; 0 before the first.
        waiting: validations since that one.
        seconds: of training.
        lengths: bytes of each log file.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    count: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    best_epoch: int = 0
    waiting: int = 0
    seconds: float = 0.0
    lengths: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any, path: Path) -> State:
        """The state that a checkpoint at `path` holds.

        Raises:
            RunError: an entry is missing, unknown, of another kind or negative.
        """
        fresh = cls().to_json()
        if not isinstance(values, dict):
            raise RunError(f"{path}: the state of the training is not an object")
        for name in sorted(fresh.keys() ^ values.keys()):
            raise RunError(
                f"{path}: {name[:80]!r} is {'missing' if name in fresh else 'unknown'} in the state"
            )
        for name, value in values.items():
            if not _fits(value, fresh[name], name):
                raise RunError(
                    f"{path}: {name} is {str(value)[:80]!r}, which a state of training cannot hold"
                )
        return cls(**values)


def _fits(value: Any, fresh: Any, name: str) -> bool:
    if isinstance(fresh, int):
        return _is_count(value)
    if isinstance(fresh, float):
        return _is_number(value)
    if name == "history":
        return isinstance(value, list) and all(isinstance(row, dict) and _all_numbers(row) for row in value)
    if name == "best":
        return isinstance(value, list) and len(value) in (0, 2) and all(map(_is_number, value))
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _all_numbers(row: Mapping[str, Any]) -> bool:
    return all(map(_is_number, row.values()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
