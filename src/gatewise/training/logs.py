"""Logs of a training: a JSON object a line, that can be cut back to where a checkpoint was taken."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from gatewise.errors import RunError
from gatewise.files import parse_json


class Log:
    """A file of JSON lines that is written from a given length on.

    Every line is with the operating system when `write` returns, so that it can be read while the training runs.

    Args:
        length: bytes that stay of what is there.

    Raises:
        RunError: the file is shorter than `length`, or cannot be written.
    """

    def __init__(self, path: Path, length: int = 0):
        self.path = path
        try:
            self.stream = path.open("ab", buffering=0)
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            self._cut(length)
        except BaseException:
            self.stream.close()
            raise

    def _cut(self, length: int) -> None:
        found = self.stream.seek(0, os.SEEK_END)
        if found < length:
            raise RunError(
                f"{self.path}: has {found:,} bytes; the checkpoint was taken when it had {length:,}"
            )
        try:
            self.stream.truncate(length)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror})") from None
        self.stream.seek(length)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; its numbers come back exactly, and NaN is refused."""
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        try:
            if self.stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror})") from None

    def sync(self) -> int:
        """Make what was written safe on the disk; the length of the file in bytes."""
        os.fsync(self.stream.fileno())
        return self.stream.tell()

    def close(self) -> None:
        self.stream.close()


class CallbackLog:
    """A log of what a callback measures: a row a measurement, with its step.

    It is in no checkpoint. Its file is opened with the first row, and loses what a killed training left of that step
    and of later ones.
    """

    def __init__(self, path: Path):
        self.path = path
        self.log: Log | None = None

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row: the step, and the figures by name.

        Raises:
            RunError: the file cannot be read or written.
        """
        if self.log is None:
            self.log = Log(self.path, _length_before(self.path, step))
        self.log.write({"step": step} | dict(figures))

    def close(self) -> None:
        if self.log is not None:
            self.log.close()


def _length_before(path: Path, step: int) -> int:
    """Bytes of the whole rows of steps before this one, with which the file begins."""
    length = 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n") or parse_json(line.decode(), str(path), RunError)["step"] >= step:
                    break
                length += len(line)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: cannot be gone on with ({error})") from None
    return length
