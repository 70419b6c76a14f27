"""A folder with one sub-folder of `.txt` files a label, such as the `train` and `test` of aclImdb."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from gatewise.data.lines import MAX_BYTES, decode
from gatewise.data.wording import count
from gatewise.errors import DataError

UNLABELLED = "unsup"
"""aclImdb keeps reviews without a label in a sub-folder of this name."""


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
    entries = sorted(path.iterdir())
    folders = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    labels = [folder for folder in folders if folder.name != UNLABELLED]
    if not labels:
        raise DataError(f"{path}: a folder of texts has one sub-folder a label, and here there is none")
    read: list[LabelledFile] = []
    others = len(entries) - len(folders)
    for folder in labels:
        files = sorted(folder.iterdir())
        inner = [entry.name for entry in files if entry.is_dir()]
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


def _read(label: str, file: Path) -> LabelledFile:
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
