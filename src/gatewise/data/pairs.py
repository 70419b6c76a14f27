"""Pairs of texts, a source and what it is to become: from a table, or from two files whose lines belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gatewise.data.lines import file_sha256, read_lines
from gatewise.data.tables import TABLE_SUFFIXES, open_table, table_suffix
from gatewise.data.texts import choose_column, text_of
from gatewise.data.wording import count
from gatewise.errors import DataError

SOURCE_COLUMNS = ("source", "src", "input")
TARGET_COLUMNS = ("target", "tgt", "trg", "output")


@dataclass(frozen=True)
class Pairs:
    """Sources with their targets, in the order of the files.

    Attributes:
        places: where each pair stands, for a message.
        sources, targets: as they were written, without the spaces and line ends around them.
        source: the path, or the two paths, that were read.
        sha256: of the file's bytes, or over the two files' hashes.
        columns: the names of the two columns; None for two files.
        notes: one sentence for everything that was left out.
    """

    places: list[str]
    sources: list[str]
    targets: list[str]
    source: str
    sha256: str
    columns: tuple[str, str] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    def subset(self, indices: Sequence[int]) -> Pairs:
        """The pairs at these indices, in this order; source, hash and notes stay those of the whole."""
        return replace(
            self,
            places=[self.places[i] for i in indices],
            sources=[self.sources[i] for i in indices],
            targets=[self.targets[i] for i in indices],
        )


def read_pairs(
    path: str | Path,
    targets: str | Path | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
) -> Pairs:
    """Read pairs.

    Args:
        path: a CSV, TSV or JSON lines file (each also `.gz`); with `targets`, a file with one source a line.
        targets: the file with the target of each line.
        source, target: columns of a table. Without them the source is the one column called source, src or input, the
            target the one called target, tgt, trg or output, in any case.

    Pairs of which one side is empty are left out, with a note.

    Raises:
        DataError: what was read cannot be used: files of different numbers of lines, no such column, no pair.
    """
    if not targets and not _is_table(Path(path)):
        raise DataError(
            f"{path}: not a table ({', '.join(TABLE_SUFFIXES)}, each also .gz); name the file with the targets too"
        )
    found = _from_lines(Path(path), Path(targets)) if targets else _from_table(Path(path), source, target)
    kept = [k for k in range(len(found)) if found.sources[k] and found.targets[k]]
    if not kept:
        raise DataError(f"{found.source}: of {count(len(found), 'pair')} none has text on both sides")
    dropped = [k for k in range(len(found)) if not (found.sources[k] and found.targets[k])]
    if dropped:
        note = f"{count(len(dropped), 'pair')} with an empty side left out (the first is {found.places[dropped[0]]})"
        found = replace(found.subset(kept), notes=[note])
    return found


def read_sources(path: str | Path, *, source: str | None = None) -> tuple[list[str], str]:
    """The sources alone, of a table or a file of lines, empty ones kept, and the column's name or ""."""
    path = Path(path)
    if not _is_table(path):
        return [text.strip() for _, text in read_lines(path)], ""
    table = open_table(path)
    column = choose_column(table, source, SOURCE_COLUMNS, "source")
    return [text_of(table, row, column).strip() for row in table.rows], column


def _is_table(path: Path) -> bool:
    return table_suffix(path) in TABLE_SUFFIXES


def _from_table(path: Path, source: str | None, target: str | None) -> Pairs:
    table = open_table(path)
    columns = (
        choose_column(table, source, SOURCE_COLUMNS, "source"),
        choose_column(table, target, TARGET_COLUMNS, "target"),
    )
    places, sources, targets = [], [], []
    for row in table.rows:
        places.append(table.place(row))
        for side, column in zip((sources, targets), columns, strict=True):
            side.append(text_of(table, row, column).strip())
    return Pairs(places, sources, targets, str(path), file_sha256(path), columns)


def _from_lines(source: Path, target: Path) -> Pairs:
    sources, targets = ([text.strip() for _, text in read_lines(path)] for path in (source, target))
    if len(sources) != len(targets):
        raise DataError(
            f"{source} has {count(len(sources), 'line')} and {target} has {count(len(targets), 'line')}; "
            "line for line they must belong together"
        )
    digest = hashlib.sha256("".join(file_sha256(path) for path in (source, target)).encode()).hexdigest()
    places = [f"{source}, line {number}" for number in range(1, len(sources) + 1)]
    return Pairs(places, sources, targets, f"{source} and {target}", digest)
