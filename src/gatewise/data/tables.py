"""Tables with named columns, read row by row: CSV, TSV and JSON lines, each plain or gzip."""

import csv
import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from gatewise.data.lines import MAX_BYTES, read_lines
from gatewise.errors import DataError

SAMPLE_WIDTH = 30
MAX_COLUMNS = 10_000
"""More of them are a table that lies on its side, or no table."""
MAX_LINES = 50_000
"""Of one record, whose quoted fields may hold line ends."""
MAX_PARTS = 200_000
"""Lists, objects and names in one line of JSON, each of which takes 60 bytes and more."""
_PART = re.compile(r'[\[{]|"\s*:')
_SHORT = 1_000_000  # a line with fewer characters cannot have too many of them
SHOWN_COLUMNS = 30


class Row(NamedTuple):
    """One record: the line where it starts, counted from 1, and its values by column (text, or any JSON)."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table being read: `rows` can be run through once; `columns` are the header's or the first object's."""

    source: Path
    columns: list[str]
    first: Row
    rows: Iterator[Row]

    def described(self) -> str:
        """The first columns with a sample value of each, for an error message."""
        shown = [
            f"{sample(name)} ({sample(self.first.values[name])})" for name in self.columns[:SHOWN_COLUMNS]
        ]
        more = len(self.columns) - len(shown)
        return ", ".join(shown) + (f", and {more:,} more" if more else "")

    def column(self, name: str) -> str:
        """`name` when there is such a column; a DataError that lists the columns otherwise."""
        if name not in self.columns:
            raise DataError(f"{self.source}: there is no column {name!r}; the columns are {self.described()}")
        return name

    def place(self, row: Row) -> str:
        """Where a row stands, for a message: `reviews.csv, line 14`."""
        return f"{self.source}, line {row.line}"

    def value(self, row: Row, name: str) -> Any:
        """The value of a row in a column; a DataError with the line where a JSON object lacks it."""
        if name not in row.values:
            raise DataError(f"{self.place(row)}: there is no {name!r} in this object")
        return row.values[name]


def open_table(path: Path, suffix: str = "") -> Table:
    """Open a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file, each also with `.gz`, and read its first row.

    Args:
        suffix: one of these, for a file that is of this kind whatever its name ends in.

    Raises:
        DataError: an unknown suffix, an empty file, a header without rows, two columns of one name, more than
            `MAX_COLUMNS`; and, while the rows are run through, a row that is broken, each with file and line.
    """
    reader = _READERS.get(suffix or table_suffix(path))
    if reader is None:
        raise DataError(f"{path}: a table ends in {', '.join(_READERS)}, or one of these and .gz")
    columns, rows = reader(path)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: there is a header and no row")
    return Table(path, columns or list(first.values), first, chain([first], rows))


def table_suffix(path: Path) -> str:
    """The suffix that tells the format, in lower case and without `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def sample(value: Any) -> str:
    """A value as it is shown in a message: cut to a width, in quotes when it is text; of nesting, the outside."""
    if isinstance(value, str):
        shown = repr(value[: SAMPLE_WIDTH + 1])
    else:
        shown = repr(value) if isinstance(value, _FLAT) else _OUTSIDE.repr(value)
    return shown if len(shown) <= SAMPLE_WIDTH else shown[: SAMPLE_WIDTH - 1] + "…"


def _csv(path: Path) -> tuple[list[str], Iterator[Row]]:
    return _delimited(path, ",")


def _tsv(path: Path) -> tuple[list[str], Iterator[Row]]:
    return _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> tuple[list[str], Iterator[Row]]:
    records = _records(path, delimiter)
    _, header = next(records, (0, []))
    columns = [name.strip() for name in header]
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{path}, line 1: {len(columns):,} columns, which is more than {MAX_COLUMNS:,}")
    _refuse_repeats(columns, f"{path}, line 1: the column")
    if not columns:
        raise DataError(f"{path}: there are only blank lines")

    def rows() -> Iterator[Row]:
        for line, fields in records:
            if len(fields) != len(columns):
                raise DataError(
                    f"{path}, line {line}: {len(fields)} fields, where the header has {len(columns)} columns"
                )
            yield Row(line, dict(zip(columns, fields, strict=True)))

    return columns, rows()


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file that are not blank lines, each with the line that it starts on."""
    # The limit belongs to the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_BYTES))
    line = 1

    def lines() -> Iterator[str]:
        for number, text in read_lines(path):
            if number - line > MAX_LINES:
                raise DataError(
                    f"{path}, line {line}: a record of more than {MAX_LINES:,} lines; {_UNCLOSED}"
                )
            yield text

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: {_csv_sentence(str(error))}") from None
        if fields:
            yield line, fields


_UNCLOSED = "a quote may not be closed"


def _csv_sentence(message: str) -> str:
    if "field limit" in message:
        return f"a field is longer than {MAX_BYTES:,} characters; {_UNCLOSED}"
    if "unexpected end of data" in message:
        return "a quote is opened and never closed"
    if "new-line character" in message:
        return "a carriage return stands where no line ends"
    return f"broken quoting ({message})"


def _json_lines(path: Path) -> tuple[list[str], Iterator[Row]]:
    def rows() -> Iterator[Row]:
        some = False
        for line, text in read_lines(path):
            if text.strip():
                some = True
                yield Row(line, _json_object(text, f"{path}, line {line}"))
        if not some:
            raise DataError(f"{path}: there are only blank lines")

    return [], rows()


def _json_object(text: str, place: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_repeats([name for name, _ in pairs], f"{place}: the name")
        return dict(pairs)

    if len(text) > _SHORT and sum(1 for _ in _PART.finditer(text)) > MAX_PARTS:
        raise DataError(f"{place}: more than {MAX_PARTS:,} names, lists and objects")
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except DataError:
        raise
    except json.JSONDecodeError as error:
        raise DataError(f"{place}, column {error.colno}: not JSON ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{place}: JSON nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{place}: JSON that cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{place}: not a JSON object but {sample(value)}")
    if len(value) > MAX_COLUMNS:
        raise DataError(f"{place}: {len(value):,} names, which is more than {MAX_COLUMNS:,}")
    return value


def _refuse_repeats(names: Sequence[str], what: str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{what} {sample(repeated[0])} is there twice")


_FLAT = (int, float, bool, type(None))
_OUTSIDE = reprlib.Repr()
_OUTSIDE.maxlevel = 2

_READERS: dict[str, Callable[[Path], tuple[list[str], Iterator[Row]]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}

TABLE_SUFFIXES = tuple(_READERS)
"""What a table's name ends in, before an optional `.gz`."""
