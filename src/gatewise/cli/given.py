"""What a call was given as its input: a text, a file, or the lines of standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gatewise.data.lines import MAX_BYTES, decode
from gatewise.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
OTHER_SUFFIXES = (".txt", ".json", ".xlsx", ".parquet")  # files all the same, though no reader takes them


def is_file(given: str) -> bool:
    """Whether an input is meant as a file: it exists, or it is named like one."""
    name = given.lower().removesuffix(".gz")
    named_so = name.endswith(TABLE_SUFFIXES) and "\n" not in given
    named_so = named_so or (name.endswith(OTHER_SUFFIXES) and len(given.split()) == 1)
    try:
        return named_so or (bool(given.strip()) and Path(given).exists())
    except (OSError, ValueError):  # too long for a name, or with a NUL: a text
        return False


def standard_input() -> Iterator[tuple[int, str]]:
    """The lines of standard input with their numbers from 1, without line ends; one at a time, as they come.

    Raises:
        DataError: a line that is too long, is not UTF-8, or holds a NUL.
    """
    number = 0
    while raw := sys.stdin.buffer.readline(MAX_BYTES):
        number += 1
        place = f"standard input, line {number}"
        if len(raw) == MAX_BYTES:
            raise DataError(f"{place}: the line has {MAX_BYTES:,} bytes or more, which is too long")
        yield number, decode(raw, place, drop_mark=number == 1).rstrip("\r\n")
    if number == 0:
        raise DataError("standard input: there is nothing to read")
