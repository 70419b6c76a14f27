"""Texts with their labels, read from a table or from a folder with one sub-folder a label."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gatewise.data.folders import read_label_folders
from gatewise.data.lines import file_sha256
from gatewise.data.tables import Row, Table, open_table, sample
from gatewise.data.wording import count
from gatewise.errors import DataError, UsageError
from gatewise.files import is_folder

TEXT_COLUMNS = ("text", "review", "sentence", "content")
LABEL_COLUMNS = ("label", "sentiment", "class", "target")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Texts:
    """Texts in the order of their source.

    Attributes:
        ids: the id column, or the row's number counted from 1, or the file's path inside the folder.
        texts: as they were written.
        labels: one a text, as text; None when they were not asked for.
        source: the path that was read.
        sha256: of the file's bytes; of a folder, over every file's name and SHA-256, in the order of names.
        text_column, label_column: the columns that were read; None for a folder or where there is none.
        notes: one sentence for everything that was left out.
        groups: one a text; texts of one group stay on one side of every split. None: each text is its own.
    """

    ids: list[str]
    texts: list[str]
    labels: list[str] | None
    source: str
    sha256: str
    text_column: str | None = None
    label_column: str | None = None
    notes: list[str] = field(default_factory=list)
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, indices: Sequence[int]) -> "Texts":
        """The texts at these indices, in this order; source, hash and notes stay those of the whole."""
        return replace(
            self,
            ids=[self.ids[i] for i in indices],
            texts=[self.texts[i] for i in indices],
            labels=None if self.labels is None else [self.labels[i] for i in indices],
            groups=None if self.groups is None else [self.groups[i] for i in indices],
        )


def read_texts(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    need_labels: bool = True,
) -> Texts:
    """Read texts from CSV, TSV or JSON lines (each also `.gz`), or from a folder with one sub-folder of
    `.txt` a label.

    Args:
        path: a file or a folder.
        text, label, id: column names. Without them the text is the one column called text, review, sentence
            or content, the label the one called label, sentiment, class or target (in any case), and the id
            the one called id, or else the row's number. Where that does not decide, nothing is guessed.
        need_labels: for training and evaluating. Empty texts are then left out, with a note. When False,
            empty texts are kept, and labels are read only where `label` names their column.

    Raises:
        DataError: what was read cannot be used; the sentence names the file and the line.
        UsageError: column names were given for a folder.
    """
    path = Path(path)
    if is_folder(path, DataError):
        if text or label or id:
            raise UsageError(f"{path} is a folder: it has no columns that text, label or id could name")
        read = _from_folder(path)
    else:
        read = _from_table(path, text, label, id, need_labels)
    return _for_training(read) if need_labels else read


def _from_folder(path: Path) -> Texts:
    files, notes = read_label_folders(path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.sha256)
    return Texts(
        ids=[file.name for file in files],
        texts=[file.text for file in files],
        labels=[file.label for file in files],
        source=str(path),
        sha256=digest.hexdigest(),
        notes=notes,
    )


def _from_table(path: Path, text: str | None, label: str | None, id: str | None, need_labels: bool) -> Texts:
    table = open_table(path)
    text_column = choose_column(table, text, TEXT_COLUMNS, "text")
    label_column = choose_column(table, label, LABEL_COLUMNS, "label") if need_labels or label else None
    id_column = table.column(id) if id else _called(table, ("id",))
    ids, texts, labels = [], [], []
    for number, row in enumerate(table.rows, start=1):
        ids.append(_id(table, row, id_column) if id_column else str(number))
        texts.append(text_of(table, row, text_column))
        if label_column:
            labels.append(_label(table, row, label_column))
    return Texts(
        ids=ids,
        texts=texts,
        labels=labels if label_column else None,
        source=str(path),
        sha256=file_sha256(path),
        text_column=text_column,
        label_column=label_column,
    )


def choose_column(table: Table, named: str | None, candidates: tuple[str, ...], role: str) -> str:
    """The column `named`, or the one called like a candidate; a DataError that lists the columns otherwise."""
    if named:
        return table.column(named)
    chosen = _called(table, candidates)
    if chosen is None:
        names = f"{', '.join(candidates[:-1])} or {candidates[-1]}"
        raise DataError(
            f"{table.source}: no column is called {names}, so name the {role} column; "
            f"the columns are {table.described()}"
        )
    return chosen


def _called(table: Table, candidates: tuple[str, ...]) -> str | None:
    """The one column named like a candidate, in any case; None without one; a DataError with several."""
    found = [name for name in table.columns if name.lower() in candidates]
    if len(found) > 1:
        raise DataError(
            f"{table.source}: {' and '.join(repr(name) for name in found)} could each be the {candidates[0]} "
            f"column, so name it; the columns are {table.described()}"
        )
    return found[0] if found else None


def text_of(table: Table, row: Row, column: str) -> str:
    """The text of a row in a column; a DataError with its line where it is none that a file can hold."""
    value = table.value(row, column)
    if not isinstance(value, str):
        raise DataError(f"{table.place(row)}: the text in {column!r} is not text but {sample(value)}")
    return _encodable(value, table, row, column)


def _label(table: Table, row: Row, column: str) -> str:
    value = table.value(row, column)
    if not isinstance(value, str | int | float):
        raise DataError(
            f"{table.place(row)}: the label in {column!r} is {sample(value)}, neither text nor a number"
        )
    name = str(value).strip()
    if not name:
        raise DataError(f"{table.place(row)}: the label in {column!r} is empty")
    return _encodable(name, table, row, column)


def _id(table: Table, row: Row, column: str) -> str:
    value = table.value(row, column)
    if not isinstance(value, str | int | float):
        raise DataError(
            f"{table.place(row)}: the id in {column!r} is {sample(value)}, neither text nor a number"
        )
    return _encodable(str(value), table, row, column)


def _encodable(value: str, table: Table, row: Row, column: str) -> str:
    """JSON can escape what no UTF-8 file can hold (half of a surrogate pair), and NUL: both are refused."""
    if found := _NO_TEXT.search(value):
        raise DataError(
            f"{table.place(row)}: character {found.start() + 1} in {column!r} is U+{ord(found[0]):04X}, "
            "which no text can hold"
        )
    return value


def _for_training(read: Texts) -> Texts:
    """Leave out empty texts, and see that there are two labels at least."""
    kept = [index for index, text in enumerate(read.texts) if text.strip()]
    if not kept:
        raise DataError(f"{read.source}: all {count(len(read), 'text')} are empty")
    dropped = len(read) - len(kept)
    if dropped:
        read = replace(read.subset(kept), notes=[*read.notes, f"{count(dropped, 'empty text')} left out"])
    labels = Counter(read.labels or [])
    if len(labels) == 1:
        raise DataError(
            f"{read.source}: the label of {count(len(read), 'text')} is always {next(iter(labels))!r}; "
            "two labels are needed"
        )
    return read
