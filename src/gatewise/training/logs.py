"""Logs of a training: a JSON object a line, that can be cut back to where a checkpoint was taken."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from gatewise.errors import RunError


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
