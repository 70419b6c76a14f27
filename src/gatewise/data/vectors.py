"""Word vectors from GloVe and fastText text files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewise.data.lines import read_lines
from gatewise.errors import DataError

MAX_WIDTH = 10_000
MOST_BYTES = 8_000_000_000
"""Of the matrix."""
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors for a vocabulary.

    Attributes:
        matrix: float32 [V, D]; zero rows for the words that were not found.
        found: bool [V].
        report: how many words were found, as a sentence.
    """

    matrix: np.ndarray
    found: np.ndarray
    report: str


def read_vectors(path: str | Path, words: Sequence[str]) -> Vectors:
    """Read the vectors of `words` from a text file: a word and its numbers a line, with or without a first
    line `count width`; also `.gz`. Words are compared as they stand; of a word that comes twice the first
    counts.

    The file is read line by line; only the numbers of wanted words are parsed.

    Raises:
        DataError: a line of another width, a number that is none, a count that is wrong, or no word in
            common.
    """
    path = Path(path)
    rows = {word: row for row, word in enumerate(words)}
    found = np.zeros(len(words), dtype=bool)
    matrix: np.ndarray | None = None  # made with the first vector that is wanted
    promised: int | None = None
    width = lines = 0
    for number, text in read_lines(path):
        line = text.rstrip(" \r\n")
        if number == 1:
            promised, width = _shape(path, line)
            if promised is not None:
                continue
        lines += 1
        word, fields = _fields(line, width, f"{path}, line {number}")
        row = rows.get(word)
        if row is not None and not found[row]:
            matrix = _room(path, len(words), width) if matrix is None else matrix
            matrix[row] = _numbers(fields, f"{path}, line {number}")
            found[row] = True
    if promised is not None and promised != lines:
        raise DataError(f"{path}: line 1 promises {promised:,} words, but {lines:,} follow")
    if matrix is None or not found.any():
        raise DataError(f"{path}: none of the {len(words):,} words of the vocabulary is in it")
    return Vectors(matrix, found, f"{found.sum():,} of {len(words):,} words found")


def _shape(path: Path, line: str) -> tuple[int | None, int]:
    """Number of words, if the first line is a header, and width."""
    fields = line.split(" ")
    header = len(fields) == 2 and all(part.isascii() and part.isdigit() for part in fields)
    width = int(fields[1][:9]) if header else len(fields) - 1
    if not 1 <= width <= MAX_WIDTH:
        raise DataError(f"{path}, line 1: vectors of width {width:,}; from 1 to {MAX_WIDTH:,} can be read")
    return (int(fields[0][:18]) if header else None), width


def _room(path: Path, words: int, width: int) -> np.ndarray:
    """Zeros [V, D], made when the first vector is there: line 1 alone can promise anything."""
    if 4 * words * width > MOST_BYTES:
        raise DataError(
            f"{path}: {words:,} vectors of width {width:,} take more than {MOST_BYTES:,} bytes of memory"
        )
    return np.zeros((words, width), dtype=np.float32)


def _fields(line: str, width: int, place: str) -> tuple[str, list[str]]:
    """The word and its numbers. A few published words hold spaces; what stands between them is then no
    number.
    """
    fields = line.split(" ")
    extra = fields[1 : len(fields) - width]
    if len(fields) < width + 1 or (extra and all(_is_number(part) for part in extra)):
        raise DataError(f"{place}: {len(fields) - 1:,} numbers, where the first line has {width:,}")
    return " ".join(fields[: len(fields) - width]), fields[len(fields) - width :]


def _numbers(fields: list[str], place: str) -> np.ndarray:
    wrong = next((part for part in fields if not _is_number(part)), None)
    if wrong is not None:
        raise DataError(f"{place}: {wrong[:40]!r} is not a number that float32 can hold")
    return np.array(fields, dtype=np.float32)


def _is_number(part: str) -> bool:
    """Whether float32 can hold it: finite, and not too large."""
    try:
        return abs(float(part)) <= _LARGEST
    except ValueError:
        return False
