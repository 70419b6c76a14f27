"""Pictures, or clips that are folders of frames, with the sentences that tell what they show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gatewise.data.lines import file_sha256, read_lines
from gatewise.data.pictures import is_picture, picture_files
from gatewise.data.tables import TABLE_SUFFIXES, open_table, table_suffix
from gatewise.data.texts import choose_column, text_of
from gatewise.data.wording import count
from gatewise.errors import DataError
from gatewise.files import is_folder

IMAGE_COLUMNS = ("image", "picture", "file", "filename", "image_name", "video", "clip")
CAPTION_COLUMNS = ("caption", "sentence", "text", "description")
_FLICKR = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>[^\t]*)")


@dataclass(frozen=True)
class Captions:
    """Pictures or clips in the order in which the table first names them.

    Attributes:
        names: as the table writes them.
        files: of a picture the one file, of a clip its frames in the order of names.
        captions: one or more of each, without the spaces around them.
        folder, source: the folder and the table that were read.
        sha256: over the table's hash and, for every file that it names, the name and the hash.
        video: clips, not pictures.
        columns: of the picture's name and the sentence; None for lines of the form `name#k<TAB>sentence`.
        notes: one sentence for everything that was left out.
    """

    names: list[str]
    files: list[tuple[Path, ...]]
    captions: list[list[str]]
    folder: str
    source: str
    sha256: str
    video: bool = False
    columns: tuple[str, str] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sentences(self) -> int:
        """How many there are of all pictures."""
        return sum(map(len, self.captions))

    def subset(self, indices: Sequence[int]) -> Captions:
        """The pictures at these indices, in this order; hash and notes stay those of the whole."""
        return replace(
            self,
            names=[self.names[i] for i in indices],
            files=[self.files[i] for i in indices],
            captions=[self.captions[i] for i in indices],
        )


class _Line(NamedTuple):
    place: str
    image: str
    caption: str


def read_captions(
    folder: str | Path, table: str | Path, *, image: str | None = None, caption: str | None = None
) -> Captions:
    """Read which sentences belong to which pictures; the pictures themselves are not decoded.

    Args:
        folder: with the pictures, or with a folder of frames for each clip.
        table: CSV, TSV or JSON lines (each also `.gz`) with a row a sentence; or `.txt` and others with a header and
            commas, or with lines `name#k<TAB>sentence` as of Flickr8k.
        image, caption: columns. Without them those called image, picture, file, filename, image_name, video or clip,
            and caption, sentence, text or description, in any case.

    Empty sentences, and pictures of the folder without a sentence, are left out with a note.

    Raises:
        DataError: no such folder, one without pictures, a sentence about a picture that is not there or lies elsewhere,
            pictures and clips in one table, or no sentence at all.
    """
    root, source = Path(folder), Path(table)
    if not is_folder(root, DataError):
        raise DataError(f"{folder}: there is no such folder of pictures")
    _check_filled(root)
    lines, columns = _lines(source, image, caption)
    told: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    empty: list[str] = []
    for line in lines:
        first.setdefault(line.image, line.place)
        if line.caption:
            told.setdefault(line.image, []).append(line.caption)
        else:
            empty.append(line.place)
    if not told:
        raise DataError(f"{source}: there is no sentence in it")
    files, video = _files(root, first)
    notes = []
    if empty:
        notes.append(f"{count(len(empty), 'empty caption')} left out (the first is {empty[0]})")
    untold = _untold(root, files, video)
    if untold:
        what = count(untold, "clip" if video else "picture")
        notes.append(f"{what} of {root} without a caption in {source} left out")
    return Captions(
        names=list(told),
        files=[files[name] for name in told],
        captions=list(told.values()),
        folder=str(root),
        source=str(source),
        sha256=_hash(source, files),
        video=video,
        columns=columns,
        notes=notes,
    )


def evenly(frames: Sequence[Path], most: int) -> list[Path]:
    """At most so many of the frames, evenly spread, the first and the last among them."""
    if len(frames) <= most:
        return list(frames)
    return [frames[round(k * (len(frames) - 1) / max(1, most - 1))] for k in range(most)]


def _check_filled(root: Path) -> None:
    try:
        if any(is_picture(path) or (path.is_dir() and path.name[0] != ".") for path in root.iterdir()):
            return
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror or error})") from None
    raise DataError(f"{root}: there is neither a picture in it nor a folder of frames")


def _lines(
    source: Path, image: str | None, caption: str | None
) -> tuple[Iterator[_Line], tuple[str, str] | None]:
    suffix = table_suffix(source)
    if suffix not in TABLE_SUFFIXES:
        if _FLICKR.fullmatch(next(read_lines(source))[1].rstrip("\r\n")):
            return _flickr(source), None
        suffix = ".csv"
    table = open_table(source, suffix)
    columns = (
        choose_column(table, image, IMAGE_COLUMNS, "picture"),
        choose_column(table, caption, CAPTION_COLUMNS, "caption"),
    )
    found = (
        _Line(table.place(row), *(text_of(table, row, column).strip() for column in columns))
        for row in table.rows
    )
    return found, columns


def _flickr(source: Path) -> Iterator[_Line]:
    for number, line in read_lines(source):
        if not line.strip():
            continue
        found = _FLICKR.fullmatch(line.rstrip("\r\n"))
        if found is None:
            raise DataError(f"{source}, line {number}: not of the form name#k, a tab, and a sentence")
        yield _Line(f"{source}, line {number}", found["image"].strip(), found["caption"].strip())


def _files(root: Path, first: dict[str, str]) -> tuple[dict[str, tuple[Path, ...]], bool]:
    """The file, or the frames, of every name, and whether they are clips."""
    found: dict[str, tuple[Path, ...]] = {}
    missing: list[str] = []
    clips: set[bool] = set()
    for name, place in first.items():
        path = _inside(root, name, place)
        if is_folder(path, DataError):
            found[name] = tuple(picture_files(path))
            clips.add(True)
        elif path.is_file():
            found[name] = (path,)
            clips.add(False)
        else:
            missing.append(name)
        if len(clips) > 1:
            raise DataError(f"{place}: {name!r} is {_KIND[path.is_dir()]}, and those before it are not")
    if missing:
        raise DataError(
            f"{first[missing[0]]}: there is no picture {missing[0]!r} in {root}"
            + (f", and {count(len(missing) - 1, 'other')} that the table names" if len(missing) > 1 else "")
        )
    return found, clips == {True}


_KIND = {True: "a folder of frames", False: "a picture"}


def _inside(root: Path, name: str, place: str) -> Path:
    parts = PurePosixPath(name)
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise DataError(f"{place}: {name[:100]!r} names no picture inside {root}")
    return root / parts


def _untold(root: Path, files: dict[str, tuple[Path, ...]], video: bool) -> int:
    """How many pictures or clips of the folder the table does not name."""
    told = {root / PurePosixPath(name) for name in files}
    there = [path for path in root.iterdir() if not path.name.startswith(".")]
    return sum(path not in told for path in there if (path.is_dir() if video else is_picture(path)))


def _hash(source: Path, files: dict[str, tuple[Path, ...]]) -> str:
    digest = hashlib.sha256(file_sha256(source).encode())
    for name in sorted(files):
        for path in files[name]:
            digest.update(f"\n{name}/{path.name} {file_sha256(path)}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
