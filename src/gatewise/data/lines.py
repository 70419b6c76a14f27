"""The lines of a text file, checked one by one: UTF-8, no NUL, of bounded length, plain or gzip."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from gatewise.errors import DataError
from gatewise.files import check_file

MAX_BYTES = 10_000_000
"""A line, a field or a text of this many bytes or more is refused before it is held in memory."""
MOST_FOLD = 200
"""A gzip file that unpacks to more than this many times its size is refused; tables come to 3 to 50."""
_FREE = 1_000_000  # unpacked bytes below which that does not count


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, counted from 1, each with its line end.

    A name that ends in `.gz` is decompressed on the way. A UTF-8 byte order mark is dropped. At most one line
    is held in memory.

    Raises:
        DataError: the file cannot be read, is empty, unpacks to more than `MOST_FOLD` times its size, or a line is
            too long, not UTF-8, or holds a NUL character.
    """
    check_file(path, DataError)
    number = unpacked = 0
    allowed = _FREE
    try:
        with path.open("rb") as packed, _unpacking(path, packed) as stream:
            while raw := stream.readline(MAX_BYTES):
                number += 1
                if len(raw) == MAX_BYTES:
                    raise DataError(
                        f"{path}, line {number}: the line has {MAX_BYTES:,} bytes or more, which is too long"
                    )
                unpacked += len(raw)
                if unpacked > allowed:
                    allowed = MOST_FOLD * packed.tell()
                if unpacked > allowed:
                    raise DataError(
                        f"{path}, line {number}: unpacks to more than {MOST_FOLD} times its size; "
                        "if it is meant so, unpack it yourself"
                    )
                yield number, decode(raw, f"{path}, line {number}", drop_mark=number == 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file, broken after line {number} ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def _unpacking(path: Path, packed: BinaryIO) -> BinaryIO:
    """The file itself, or what it unpacks to where its name ends in `.gz`."""
    return cast(BinaryIO, gzip.GzipFile(fileobj=packed)) if path.suffix.lower() == ".gz" else packed


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


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes as they lie on disk, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
