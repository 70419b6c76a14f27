"""A folder with one sub-folder of `.txt` files a label, such as the `train` and `test` of aclImdb."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from gatewise.data.lines import MAX_BYTES, decode
from gatewise.data.wording import count
from gatewise.errors import DataError
from gatewise.files import check_file, is_folder

UNLABELLED = "unsup"
"""aclImdb keeps reviews without a label in a sub-folder of this name."""
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class LabelledFile(NamedTuple):
    name: str  # inside the folder, with forward slashes
    label: str
    text: str
    sha256: bytes  # of the file as it lies, 32 bytes


def read_label_folders(path: Path) -> tuple[list[LabelledFile], list[str]]:
    """Read every `.txt` file of every sub-folder, in the order of names; the sub-folder's name is the label.

    Returns:
        The files, and one note for everything that was left out.

    Raises:
        DataError: there is no sub-folder, one holds folders or no `.txt` file, or a file is no UTF-8 text.
    """
    entries = _entries(path)
    folders = [entry for entry in entries if is_folder(entry, DataError) and not entry.name.startswith(".")]
    labels = [folder for folder in folders if folder.name != UNLABELLED]
    if not labels:
        raise DataError(f"{path}: a folder of texts has one sub-folder a label, and here there is none")
    read: list[LabelledFile] = []
    others = len(entries) - len(folders)
    for folder in labels:
        _check_name(folder)
        files = _entries(folder)
        inner = [entry.name for entry in files if is_folder(entry, DataError)]
        if inner:
            raise DataError(
                f"{folder}: holds folders ({', '.join(inner[:3])}), so it is not the folder of one label"
            )
        texts = [file for file in files if file.suffix.lower() == ".txt"]
        if not texts:
            raise DataError(f"{folder}: there is no .txt file in it")
        others += len(files) - len(texts)
        read += [_read(folder.name, file) for file in texts]
    notes = []
    if len(folders) > len(labels):
        notes.append(f"the folder {UNLABELLED}, which has no label, left out")
    if others:
        notes.append(f"{count(others, 'other entry', 'other entries')} of the folder left out")
    return read, notes


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, in the order of names."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None


def _check_name(entry: Path) -> None:
    """Names become labels and ids: those with control characters, or bytes that are not UTF-8, are refused."""
    if _NO_NAME.search(entry.name):
        raise DataError(
            f"{entry.parent}: holds the name {entry.name[:100]!r}, with control characters or bytes that are not UTF-8"
        )


def _read(label: str, file: Path) -> LabelledFile:
    _check_name(file)
    check_file(file, DataError)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error
    if len(raw) == MAX_BYTES:
        raise DataError(f"{file}: the text has {MAX_BYTES:,} bytes or more, which is too long")
    lines = raw.split(b"\n")
    text = "\n".join(decode(line, f"{file}, line {n}", drop_mark=n == 1) for n, line in enumerate(lines, 1))
    return LabelledFile(f"{label}/{file.name}", label, text, hashlib.sha256(raw).digest())
