"""Numbers and times as they are written in a table."""

import math
from datetime import UTC, datetime

import numpy as np

from gatewise.data.tables import Row, Table, sample
from gatewise.errors import DataError

MISSING = ("", "na", "nan")
"""A feature with one of these texts, in any case, is missing."""
_LARGEST = float(np.finfo(np.float32).max)


def read_number(table: Table, row: Row, column: str) -> float:
    """A number of a table as float64, NaN where it is missing; a DataError for text, infinity, or beyond float32."""
    text = row.values[column].strip()
    if text.lower() in MISSING:
        return math.nan
    number = _parsed(text)
    if number is None:
        raise DataError(f"{table.place(row)}: {column!r} is {sample(text)}, which is not a number")
    if abs(number) > _LARGEST:
        raise DataError(f"{table.place(row)}: {column!r} is {sample(text)}, beyond what float32 can hold")
    return number


def _parsed(text: str) -> float | None:
    """A number that is not NaN, or None; Python's own underscores in numbers are not taken for data."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if "_" in text or math.isnan(number) else number


class Clock:
    """Reads a time column, whose rows must all be of the first one's kind: numbers, or dates with or without a zone."""

    def __init__(self, table: Table, column: str) -> None:
        self.table, self.column = table, column
        self.dates = False
        self._first: tuple[str, int] | None = None

    def read(self, row: Row) -> float:
        """The time of a row; of a date the seconds since 1970, taken as UTC where it has no zone."""
        text = row.values[self.column].strip()
        time, kind = _time(text)
        if not math.isfinite(time):
            raise DataError(
                f"{self.table.place(row)}: the time in {self.column!r} is {sample(text)}, "
                "neither a finite number nor an ISO date"
            )
        if self._first is None:
            self._first, self.dates = (kind, row.line), kind != "a number"
        if kind != self._first[0]:
            raise DataError(
                f"{self.table.place(row)}: the time in {self.column!r} is {kind} here and {self._first[0]} "
                f"on line {self._first[1]}"
            )
        return time


def _time(text: str) -> tuple[float, str]:
    """A time and its kind; NaN when the text is neither a number nor a date."""
    number = _parsed(text)
    if number is not None:
        return number, "a number"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return math.nan, ""
    if moment.tzinfo:
        return moment.timestamp(), "a date with a time zone"
    return moment.replace(tzinfo=UTC).timestamp(), "a date without a time zone"
