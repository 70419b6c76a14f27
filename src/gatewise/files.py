"""Files that are written whole or not at all, and never over another one unasked."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gatewise.errors import GatewiseError


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before any work is done for it.

    Raises:
        GatewiseError: the file exists and may not be overwritten, is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise GatewiseError(f"{path}: is a folder; a file is to be written")
    if path.exists() and not overwrite:
        raise GatewiseError(f"{path}: exists; name another file, or add --overwrite")
    if not path.parent.is_dir():
        raise GatewiseError(f"{path}: there is no folder {path.parent}")


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[TextIO]:
    """A text file in UTF-8 that appears at `path` when the block ends well; after an error nothing is left.

    Raises:
        GatewiseError: as in `check_target`, or the folder takes no new file.
    """
    check_target(path, overwrite)
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")
    try:
        stream = partial.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise GatewiseError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
