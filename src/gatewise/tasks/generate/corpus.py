"""Text to learn from: files, folders, a column of tables, or what every machine has, Python's standard library."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gatewise.data.lines import decode, open_file
from gatewise.data.tables import TABLE_SUFFIXES, table_suffix
from gatewise.data.texts import read_texts
from gatewise.data.wording import count
from gatewise.errors import DataError
from gatewise.files import check_file, is_folder

MOST_BYTES = 1_000_000_000
"""Of a corpus, unpacked: it is held in memory."""
SUFFIXES = (".txt", ".txt.gz")
WHOLE_FILES = 20
"""From so many files on, whole ones are held out; of fewer, the end of their text."""
_NOT_OURS = ("site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test")


@dataclass(frozen=True)
class Document:
    """One file, or a row of a table: its name for messages and hashes, and its bytes, unpacked."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Part:
    """What a model is trained or measured on.

    Args:
        source: where it comes from.
        content: all of it, valid UTF-8 without NUL unless the tokens are bytes.
        files: how many files (or rows of tables) it was made of.
    """

    source: str
    content: bytes
    files: int

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def described(self) -> dict[str, str | int]:
        """Source, sizes and hash, ready for JSON."""
        return {
            "source": self.source,
            "files": self.files,
            "bytes": len(self.content),
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class Corpus:
    """The parts of a text; validation and test are None where nothing is held out.

    Args:
        how: in words, what was held out.
    """

    training: Part
    validation: Part | None = None
    test: Part | None = None
    how: str = ""
    notes: list[str] = field(default_factory=list)


def read_corpus(
    data: Sequence[str] = (),
    *,
    validation_data: str = "",
    test_data: str = "",
    validation: float = 0.1,
    test: float = 0.0,
    raw: bool = False,
    column: str = "",
) -> Corpus:
    """Read a corpus and hold parts of it out.

    Of a single text its end is held out: the test part last, the validation part before it. Of `WHOLE_FILES` files or
    more, whole ones are, chosen by a hash of their names, so that the choice is the same on every machine. Files of
    a folder follow one another in the order of their names; each but a single one ends with a line end.

    Args:
        data: files or folders; of a folder every .txt and .txt.gz in it and below. None: the standard library's source.
        validation_data, test_data: parts of your own; nothing is then held out for them.
        validation, test: shares, in bytes.
        raw: any bytes are taken; else the text must be UTF-8 without NUL.
        column: of a table (CSV, TSV or JSON lines, by the file's name) this column is read, each row a text of its own;
            empty: the file as it stands.

    Raises:
        DataError: no such file, nothing in it, not UTF-8, a NUL, or more than `MOST_BYTES`; a part without text.
    """
    if data:
        documents, notes = _read_all(data, raw, column), []
        source = ", ".join(str(Path(one).absolute()) for one in data)
    else:
        documents, notes = standard_library()
        source = f"the source of Python {platform.python_version()}'s standard library"
    shares = [0.0 if validation_data else validation, 0.0 if test_data else test]
    kept, held_out, how = _divide(documents, shares, source)
    given = [
        _part(_read_all([path], raw, column), path) if path else part
        for path, part in zip((validation_data, test_data), held_out, strict=True)
    ]
    hows = [how] + [
        f"{name} given" for name, path in (("validation", validation_data), ("test", test_data)) if path
    ]
    return Corpus(kept, *given, how="; ".join(one for one in hows if one), notes=notes)


def read_part(path: str | Path, *, raw: bool = False, column: str = "") -> Part:
    """All of a file or folder, to measure a model on; arguments and errors are those of `read_corpus`."""
    return _part(_read_all([str(path)], raw, column), str(path))


def standard_library() -> tuple[list[Document], list[str]]:
    """Every .py file of this Python's standard library but its tests, by name; and how many there are, in a note."""
    root = Path(sysconfig.get_paths()["stdlib"])
    documents, left_out = [], 0
    for path in _files_below(root, (".py",), _NOT_OURS):
        name = path.relative_to(root).as_posix()
        try:
            text = decode(path.read_bytes(), name, drop_mark=True)
        except (DataError, OSError):
            left_out += 1
            continue
        if text:
            documents.append(Document(name, text.encode()))
    if not documents:
        raise DataError(f"{root}: the standard library's source is not there; name a file or folder")
    size = sum(len(document.content) for document in documents)
    notes = [
        f"{count(len(documents), 'file')} of the standard library, {size:,} bytes, in the order of names"
    ]
    if left_out:
        notes.append(f"{count(left_out, 'file')} that cannot be read as UTF-8 left out")
    return documents, notes


def _read_all(paths: Sequence[str], raw: bool, column: str) -> list[Document]:
    documents, size = [], 0
    for path in _expanded(paths):
        if column and table_suffix(path) in TABLE_SUFFIXES:
            documents += _rows(path, column)
            size = sum(len(document.content) for document in documents)
            continue
        document = Document(str(path), _read(path, MOST_BYTES - size, raw))
        size += len(document.content)
        documents.append(document)
    return documents


def _rows(path: Path, column: str) -> list[Document]:
    """Each text of a table's column; empty ones are left out."""
    texts = read_texts(path, text=column, need_labels=False)
    found = [
        Document(f"{path}, id {name}", text.encode())
        for name, text in zip(texts.ids, texts.texts, strict=True)
        if text
    ]
    if not found:
        raise DataError(f"{path}: no text in the column {column!r}")
    return found


def _expanded(paths: Sequence[str]) -> Iterable[Path]:
    """The files that are meant, those of a folder in the order of their names."""
    for one in paths:
        path = Path(one)
        if not is_folder(path, DataError):
            yield path
            continue
        files = _files_below(path, SUFFIXES)
        if not files:
            raise DataError(f"{path}: holds no {' or '.join(SUFFIXES)} file; name other files one by one")
        yield from files


def _files_below(root: Path, suffixes: tuple[str, ...], left_out: Sequence[str] = ()) -> list[Path]:
    """Files of these suffixes in a folder and below, by name; hidden ones are left out, and links are not followed."""
    found = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".") and name not in left_out]
        found += [
            Path(folder, name)
            for name in files
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def _read(path: Path, most: int, raw: bool) -> bytes:
    check_file(path, DataError)
    try:
        with open_file(path) as stream:
            content = stream.read(most + 1)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(content) > most:
        raise DataError(f"{path}: with it the text has more than {MOST_BYTES:,} bytes, which is too long")
    content = content if raw else decode(content, str(path), drop_mark=True).encode()
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content


def _part(documents: Sequence[Document], source: str) -> Part:
    return Part(source, _joined(documents), len(documents))


def _joined(documents: Sequence[Document]) -> bytes:
    """One after the other; where there are several, each ends with a line end."""
    if len(documents) == 1:
        return documents[0].content
    return b"".join(
        document.content if document.content.endswith(b"\n") else document.content + b"\n"
        for document in documents
    )


def _divide(
    documents: Sequence[Document], shares: Sequence[float], source: str
) -> tuple[Part, list[Part | None], str]:
    """The training part, the validation and the test part (None for a share of 0), and how they were chosen."""
    names = [name for name, share in zip(("validation", "test"), shares, strict=True) if share]
    if not names:
        return _part(documents, source), [None, None], ""
    told = " and ".join(
        f"{share:.3g} for {name}" for name, share in zip(names, filter(None, shares), strict=True)
    )
    if len(documents) < WHOLE_FILES:
        kept, parts = _cut(_joined(documents), shares, source, len(documents))
        how = f"the end of the text held out ({told})"
    else:
        kept, parts = _choose(documents, shares, source)
        how = f"whole files held out by a hash of their names ({told})"
    for name, part in (("training", kept), *zip(("validation", "test"), parts, strict=True)):
        if part is not None and not part.content:
            raise DataError(f"{source}: no text is left for the {name} part ({told} of the whole)")
    return kept, parts, how


def _cut(content: bytes, shares: Sequence[float], source: str, files: int) -> tuple[Part, list[Part | None]]:
    """Beginning, middle and end of a text; cuts fall between characters."""
    text = content.decode("utf-8", "surrogateescape")
    second = int(len(text) * (1 - shares[1]) + 1e-6)
    first = int(len(text) * (1 - shares[0] - shares[1]) + 1e-6)
    pieces = [text[:first], text[first:second], text[second:]]
    kept, *held = [Part(source, piece.encode("utf-8", "surrogateescape"), files) for piece in pieces]
    return kept, [part if share else None for part, share in zip(held, shares, strict=True)]


def _choose(
    documents: Sequence[Document], shares: Sequence[float], source: str
) -> tuple[Part, list[Part | None]]:
    """Whole files: in the order of their hashes, until the share is reached; each part in the order of names."""
    total = sum(len(document.content) for document in documents)
    hashed = sorted(
        range(len(documents)), key=lambda k: hashlib.sha256(Path(documents[k].name).name.encode()).digest()
    )
    held: list[Part | None] = []
    for share in shares:
        size, chosen = 0, []
        while share and size < share * total and hashed:
            chosen.append(hashed.pop(0))
            size += len(documents[chosen[-1]].content)
        held.append(_part([documents[k] for k in sorted(chosen)], source) if share else None)
    return _part([documents[k] for k in sorted(hashed)], source), held
