"""The lines of a text file, checked one by one: UTF-8, no NUL, of bounded length, plain or gzip."""

import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from gatewise.errors import DataError, UsageError
from gatewise.files import check_file

MAX_BYTES = 10_000_000
"""A line, a field or a text of this many bytes or more is refused before it is held in memory."""
MOST_FOLD = 200
"""A gzip file that unpacks to more than this many times its size is refused; tables come to 3 to 50."""
_FREE = 300_000  # unpacked bytes below which that does not count
_SIP = 1024  # packed bytes that are read at once, so that little can come of them before they are counted
_GZIP = 31  # zlib's number for the gzip format


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, counted from 1, each with its line end.

    A name that ends in `.gz` is decompressed on the way. A UTF-8 byte order mark is dropped. At most one line
    is held in memory.

    Raises:
        DataError: the file cannot be read, is empty, unpacks to more than `MOST_FOLD` times its size, or a line is
            too long, not UTF-8, or holds a NUL character.
    """
    check_file(path, DataError)
    number, name = 0, str(path)
    try:
        with open_file(path) as stream:
            while raw := stream.readline(MAX_BYTES):
                number += 1
                if len(raw) == MAX_BYTES:
                    raise DataError(
                        f"{path}, line {number}: the line has {MAX_BYTES:,} bytes or more, which is too long"
                    )
                if raw.isascii() and b"\0" not in raw:  # most lines, in a fifth of the time
                    yield number, raw.decode("ascii")
                else:
                    yield number, decode(raw, f"{name}, line {number}", drop_mark=number == 1)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file, broken after line {number} ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def open_file(path: Path) -> BinaryIO:
    """The bytes of a file, or what they unpack to where its name ends in `.gz`."""
    packed = path.open("rb")
    return cast(BinaryIO, io.BufferedReader(_Unpacked(packed))) if path.suffix.lower() == ".gz" else packed


class _Unpacked(io.RawIOBase):
    """What a gzip file unpacks to, counted as it comes; a file that unpacks to too much is refused at once.

    Args:
        packed: the file, which is closed with this one.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self.packed, self.produced = packed, 0
        self._inner, self._rest = zlib.decompressobj(_GZIP), b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.packed.close()
        super().close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill some of `buffer`; 0 at the end."""
        out = b""
        while not out:
            if self._inner.eof and not self._next_member():
                return 0
            sip = self._rest or self.packed.read(_SIP)
            out = self._inner.decompress(sip, len(buffer))
            self._rest = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail
            if not (out or sip or self._inner.eof):
                raise EOFError("it ends too early")
        self._count(len(out))
        buffer[: len(out)] = out
        return len(out)

    def _next_member(self) -> bool:
        """Go on to the next of several gzip files in one; what pads them is left out."""
        self._rest = (self._rest or self.packed.read(_SIP)).lstrip(b"\0")
        while not self._rest and (sip := self.packed.read(_SIP)):
            self._rest = sip.lstrip(b"\0")
        self._inner = zlib.decompressobj(_GZIP) if self._rest else self._inner
        return bool(self._rest)

    def _count(self, more: int) -> None:
        self.produced += more
        if self.produced > _FREE and self.produced > MOST_FOLD * (self.packed.tell() - len(self._rest)):
            raise DataError(
                f"{self.packed.name}: unpacks to more than {MOST_FOLD} times its size; "
                "if it is meant so, unpack it yourself"
            )


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


def encode(text: str, name: str) -> bytes:
    """A text that somebody gave, as UTF-8 bytes; a UsageError, in which it is called `name`, where UTF-8 has none for
    it: half of a surrogate pair, as a terminal makes of bytes that are no UTF-8."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{name} is not UTF-8 (character {error.start + 1} of {len(text)} stands for no character)"
        ) from None


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes as they lie on disk, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
