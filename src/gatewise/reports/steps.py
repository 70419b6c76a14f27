"""What the steps of a sequence are called on a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from gatewise.errors import UsageError, UsageTypeError


def step_names(labels: Sequence[str] | None, times: Sequence[Any] | None, steps: int, row: int) -> list[str]:
    """One name a step: its time and label as far as they are given, else its number from 1.

    Raises:
        UsageError: another number of labels or times than the row has steps; one text in place of a list.
    """
    parts = [_checked(given, what, steps, row) for given, what in ((times, "times"), (labels, "labels"))]
    given = [names for names in parts if names is not None]
    if not given:
        return [str(t + 1) for t in range(steps)]
    return [" ".join(names) for names in zip(*given, strict=True)]


def _checked(given: Sequence[Any] | None, what: str, steps: int, row: int) -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str | bytes):
        raise UsageTypeError(
            f"{what} is one text; it takes a list of {steps:,}, one for each step of row {row}"
        )
    names = [_name(value) for value in given]
    if len(names) != steps:
        raise UsageError(f"{what} has {len(names):,} names; row {row} has {steps:,} steps")
    return names


def _name(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | np.datetime64):
        return str(value).replace("T", " ")
    if hasattr(value, "item"):  # a number of NumPy or torch
        value = value.item()
    return f"{value:.15g}" if isinstance(value, float) else str(value)
