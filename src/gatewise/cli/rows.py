"""Rows with predictions, written as CSV, TSV or JSON lines; every column that was there stays as it was."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from gatewise.errors import UsageError

Writer = Callable[[TextIO, Sequence[str], Iterable[Mapping[str, Any]]], None]


def writer_for(path: Path) -> Writer:
    """The writer that a file's name asks for.

    Raises:
        UsageError: another suffix.
    """
    if path.suffix.lower() not in WRITERS:
        raise UsageError(f"{path}: --out ends in {', '.join(WRITERS)}")
    return WRITERS[path.suffix.lower()]


def free_names(names: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """New columns by the name that each gets: `predicted_…` where a column of that name is there already.

    Raises:
        UsageError: that name is taken as well.
    """
    found = {name: f"predicted_{name}" if name in taken else name for name in names}
    for name in found.values():
        if name in taken:
            raise UsageError(
                f"the input has a column {name!r} already, so the prediction has no column to go to"
            )
    return found


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    _delimited(stream, columns, rows, ",")


def write_tsv(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    _delimited(stream, columns, rows, "\t")


def write_json_lines(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        stream.write(json.dumps(dict(row), ensure_ascii=False) + "\n")


def _delimited(
    stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str
) -> None:
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name, "")) for name in columns])


def _cell(value: Any) -> str:
    """A text as it is, and whatever else JSON lines can hold as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


WRITERS: dict[str, Writer] = {".csv": write_csv, ".tsv": write_tsv, ".jsonl": write_json_lines}
