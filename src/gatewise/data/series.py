"""Time series from one long table: a row a time step, a sequence an id."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatewise.data.lines import file_sha256
from gatewise.data.measures import Clock, read_number
from gatewise.data.tables import Row, Table, open_table, table_suffix
from gatewise.data.wording import count
from gatewise.errors import DataError, UsageError

GAP = 1.5
"""A step longer than this many times the usual step of its series (the median) counts as a gap."""


@dataclass(frozen=True)
class Series:
    """Sequences of numbers, in the order in which their ids first appear.

    Attributes:
        ids: one a sequence.
        values: one float64 array [T, F] a sequence, in time order; NaN where a value is missing.
        times: one float64 array [T] a sequence, rising; seconds since 1970 (UTC where no zone is given) for
            dates.
        labels: one a sequence, as text; None when they were not asked for.
        features: the F columns, in order.
        source: the path that was read.
        sha256: of the file's bytes.
        dates: True when the times were dates.
        notes: one sentence each for missing values and for gaps.
    """

    ids: list[str]
    values: list[np.ndarray]
    times: list[np.ndarray]
    labels: list[str] | None
    features: list[str]
    source: str
    sha256: str
    dates: bool = False
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, indices: Sequence[int]) -> "Series":
        """The sequences at these indices, in this order; source, hash and notes stay those of the whole."""
        return replace(
            self,
            ids=[self.ids[i] for i in indices],
            values=[self.values[i] for i in indices],
            times=[self.times[i] for i in indices],
            labels=None if self.labels is None else [self.labels[i] for i in indices],
        )


class _Step(NamedTuple):
    time: float
    line: int
    values: list[float]


@dataclass
class _Sequence:
    label: str | None
    line: int
    steps: list[_Step] = field(default_factory=list)


def read_series(
    path: str | Path,
    *,
    id: str,
    time: str,
    features: Sequence[str],
    label: str | None,
    need_labels: bool = True,
) -> Series:
    """Read a long CSV or TSV table (each also `.gz`) with one row a time step.

    Args:
        path: the table.
        id: the column that says which sequence a row belongs to.
        time: the column that orders a sequence: numbers, or dates and times in ISO 8601; rows may stand in
            any order.
        features: the columns of numbers. Empty, NA and NaN mean missing.
        label: the column of the label, which is the same in all rows of an id.
        need_labels: when False the label column is neither needed nor read.

    Raises:
        DataError: what was read cannot be used; the sentence names the file and the line.
        UsageError: no features, no label column where labels are needed, or a column named for two purposes.
    """
    path = Path(path)
    label = label if need_labels else None
    _check_names(id, time, features, label, need_labels)
    if table_suffix(path) not in (".csv", ".tsv"):
        raise DataError(f"{path}: a table of series ends in .csv or .tsv, or one of these and .gz")
    table = open_table(path)
    for name in (id, time, *features, *([label] if label else [])):
        table.column(name)
    sequences: dict[str, _Sequence] = {}
    clock = Clock(table, time)
    for row in table.rows:
        sequence = _sequence_of(table, row, sequences, id, label)
        values = [read_number(table, row, feature) for feature in features]
        sequence.steps.append(_Step(clock.read(row), row.line, values))
    for name, sequence in sequences.items():
        sequence.steps.sort(key=lambda step: step.time)
        _refuse_repeated_times(table, name, time, sequence.steps)
    if label:
        _check_labels(path, sequences)
    values = [
        np.array([step.values for step in one.steps], dtype=np.float64) for one in sequences.values()
    ]  # [T, F]
    times = [
        np.array([step.time for step in one.steps], dtype=np.float64) for one in sequences.values()
    ]  # [T]
    return Series(
        ids=list(sequences),
        values=values,
        times=times,
        labels=[str(one.label) for one in sequences.values()] if label else None,
        features=list(features),
        source=str(path),
        sha256=file_sha256(path),
        dates=clock.dates,
        notes=[*_missing_note(features, values), *_gap_note(times)],
    )


def _check_names(id: str, time: str, features: Sequence[str], label: str | None, need_labels: bool) -> None:
    if not features:
        raise UsageError("a series needs one feature column at least")
    if need_labels and not label:
        raise UsageError("the label column is not named")
    names = [id, time, *features, *([label] if label else [])]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"the column {name!r} is named {names.count(name)} times among id, time, features and label"
            )


def _sequence_of(
    table: Table, row: Row, sequences: dict[str, _Sequence], id: str, label: str | None
) -> _Sequence:
    """The sequence that a row belongs to, made at its first row; its label must not change."""
    name = row.values[id].strip()
    if not name:
        raise DataError(f"{table.place(row)}: the id in {id!r} is empty")
    value = row.values[label].strip() if label else None
    if value == "":
        raise DataError(f"{table.place(row)}: the label in {label!r} is empty")
    sequence = sequences.setdefault(name, _Sequence(value, row.line))
    if value != sequence.label:
        raise DataError(
            f"{table.place(row)}: id {name!r} has the label {value!r} here and {sequence.label!r} "
            f"on line {sequence.line}"
        )
    return sequence


def _refuse_repeated_times(table: Table, name: str, column: str, steps: list[_Step]) -> None:
    for before, after in pairwise(steps):
        if before.time == after.time:
            raise DataError(
                f"{table.source}, line {after.line}: id {name!r} has the same time in {column!r} "
                f"as on line {before.line}"
            )


def _check_labels(path: Path, sequences: dict[str, _Sequence]) -> None:
    labels = {one.label for one in sequences.values()}
    if len(labels) == 1:
        raise DataError(
            f"{path}: the label of {count(len(sequences), 'sequence')} is always {labels.pop()!r}; "
            "two labels are needed"
        )


def _missing_note(features: Sequence[str], values: list[np.ndarray]) -> list[str]:
    missing = np.sum([np.isnan(one).sum(axis=0) for one in values], axis=0)  # [F]
    if not missing.any():
        return []
    steps = sum(len(one) for one in values)
    shown = ", ".join(f"{name} {n:,}" for name, n in zip(features, missing.tolist(), strict=True) if n)
    return [f"missing values among {count(steps, 'step')}: {shown}"]


def _gap_note(times: list[np.ndarray]) -> list[str]:
    gaps = [_gaps(one) for one in times]
    if not any(gaps):
        return []
    hit = sum(n > 0 for n in gaps)
    return [
        f"{count(sum(gaps), 'gap')} in time (longer than {GAP} times the usual step) "
        f"in {hit:,} of {count(len(times), 'sequence')}"
    ]


def _gaps(times: np.ndarray) -> int:
    steps = np.diff(times)
    return int((steps > GAP * np.median(steps)).sum()) if len(steps) else 0
