"""The lines of a text file, checked one by one: UTF-8, no NUL, of bounded length, plain or gzip."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from gatewise.errors import DataError

MAX_BYTES = 10_000_000
"""A line, a field or a text of this many bytes or more is refused before it is held in memory."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, counted from 1, each with its line end.

    A name that ends in `.gz` is decompressed on the way. A UTF-8 byte order mark is dropped. At most one line
    is held in memory.

    Raises:
        DataError: the file cannot be read, is empty, or a line is too long, not UTF-8, or holds a NUL
            character.
    """
    check_file(path)
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            while raw := stream.readline(MAX_BYTES):
                number += 1
                if len(raw) == MAX_BYTES:
                    raise DataError(
                        f"{path}, line {number}: the line has {MAX_BYTES:,} bytes or more, which is too long"
                    )
                yield number, decode(raw, f"{path}, line {number}", drop_mark=number == 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file, broken after line {number} ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def decode(raw: bytes, place: str, *, drop_mark: bool = False) -> str:
    """UTF-8 bytes as text; a DataError at `place` names the first byte that is not UTF-8, or a NUL, from 1."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}, byte {error.start + 1}: not UTF-8 (byte 0x{raw[error.start]:02x}: {error.reason})"
        ) from None
    if "\0" in text:
        raise DataError(f"{place}, character {text.index(chr(0)) + 1}: a NUL character")
    return text.removeprefix("\ufeff") if drop_mark else text


def check_file(path: Path) -> None:
    """Raise a DataError unless `path` is a regular file."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if not path.is_file():
        raise DataError(f"{path}: not a regular file")


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes as they lie on disk, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
