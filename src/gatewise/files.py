"""Files that are written whole or not at all and never over another one unasked, and read up to a size."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from gatewise.errors import GatewiseError

T = TypeVar("T")


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


def check_file(path: Path, error: type[GatewiseError]) -> None:
    """Raise an `error` unless `path` is a regular file or a link to one: a pipe or a device may never end."""
    try:
        is_there, is_file = path.exists(), path.is_file()
    except (OSError, ValueError) as fault:  # a folder that may not be entered, a name that is too long
        raise error(f"{path}: cannot be read ({getattr(fault, 'strerror', None) or fault})") from None
    if not is_there:
        raise error(f"{path}: there is no such file")
    if not is_file:
        raise error(f"{path}: not a regular file")


def is_folder(path: Path, error: type[GatewiseError]) -> bool:
    """Whether it is a folder; an `error` where that cannot be asked, as for a name that is too long."""
    try:
        return path.is_dir()
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror or fault})") from None


def read_text(path: Path, most: int, error: type[GatewiseError]) -> str:
    """All of a text file in UTF-8.

    Args:
        most: bytes; a larger file is refused before it is read.
        error: the class of what is raised.

    Raises:
        error: no regular file, too large, unreadable, or not UTF-8.
    """
    check_file(path, error)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > most:
                raise error(f"{path}: has {size:,} bytes; {most:,} at most belong there")
            return stream.read(most).decode("utf-8")
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror or fault})") from None
    except UnicodeDecodeError as fault:
        raise error(f"{path}: not UTF-8 ({fault})") from None


def read_json(path: Path, most: int, error: type[GatewiseError]) -> Any:
    """The value of a JSON file; see `read_text`.

    Raises:
        error: as `read_text`, or not JSON, or JSON with half of a surrogate pair, which no file can be written with.
    """
    return parse_json(read_text(path, most, error), str(path), error)


def read_lines(path: Path, most: int, error: type[GatewiseError], parse: Callable[[str, str], T]) -> list[T]:
    """The lines of a log, parsed; a last one that a kill cut short is taken out of the file.

    Args:
        parse: from a line and its place, which begins every error, to what it holds; it raises for a line that is of
            no such log, and the file then stays as it is.

    Raises:
        error: as `read_text`, or nothing but the beginning of something that is no JSON object.
    """
    text = read_text(path, most, error)
    end = text.rfind("\n") + 1
    found = [parse(line, f"{path}, line {number}") for number, line in enumerate(text[:end].splitlines(), 1)]
    if text[end:] and not found and not text.startswith("{"):
        raise error(f"{path}: not a log of JSON lines")
    if text[end:]:
        path.write_text(text[:end], encoding="utf-8")
    return found


def parse_json(text: str, place: str, error: type[GatewiseError]) -> Any:
    """The value of a JSON text; `place` begins every error."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise error(f"{place}: not JSON that can be read (nested too deeply)") from None
    except UnicodeEncodeError:
        raise error(f"{place}: not JSON (half of a surrogate pair, which no text can hold)") from None
    except ValueError as fault:  # also a number of thousands of digits
        raise error(f"{place}: not JSON ({fault})") from None
    return value
