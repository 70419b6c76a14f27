"""Files of word vectors."""

import os
from pathlib import Path

from attack import Attack
from attack_files import as_file, gzip_bomb, sparse

from gatewise.data.vectors import read_vectors
from gatewise.errors import DataError

WORDS = ["a", "film"] + [f"w{k}" for k in range(300_000)]


def read(path: Path) -> object:
    return read_vectors(path, WORDS[:1000])


def _vectors(
    name: str, content: str | bytes, says: str, what: str, naive: str, file: str = "v.txt"
) -> Attack:
    return Attack(name, what, naive, as_file(file, content), read, DataError, says)


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "v.txt")
    return folder / "v.txt"


ON_VECTORS = [
    _vectors(
        "vectors that promise a billion words",
        "1000000000 3\na 1 2 3\n",
        "promises 1,000,000,000 words",
        "A count in the first line.",
        "Makes room for them.",
    ),
    _vectors(
        "vectors of a width of ten digits",
        "5 9999999999\na 1\n",
        "can be read",
        "A width in the first line.",
        "Makes room for them.",
    ),
    Attack(
        "vectors of 10,000 numbers for 300,000 words",
        "A header that fits, and a vocabulary.",
        "12 GB of zeros.",
        as_file("v.txt", "1 10000\na" + " 1" * 10_000 + "\n"),
        lambda path: read_vectors(path, WORDS),
        DataError,
        "bytes of memory",
    ),
    _vectors(
        "vectors whose width changes",
        "a 1 2 3\nfilm 1 2\n",
        "2 numbers, where the first line has 3",
        "A shorter line.",
        "ValueError of a broadcast.",
    ),
    _vectors(
        "vectors of infinity",
        "a 1 inf 3\n",
        "not a number that float32 can hold",
        "inf.",
        "Every state is NaN.",
    ),
    _vectors(
        "vectors beyond float32",
        "a 1 1e39 3\n",
        "not a number that float32 can hold",
        "inf in float32.",
        "A warning of an overflow.",
    ),
    _vectors("vectors of code", "a __import__('os') 2 3\n", "is not a number", "Python.", "eval()."),
    _vectors(
        "vectors of no known word", "x 1 2 3\n", "none of the 1,000 words", "Another language.", "All zeros."
    ),
    _vectors(
        "vectors in one line of 20 MB",
        "a" + " 1" * 10_000_000,
        "which is too long",
        "A line without end.",
        "Splits it.",
    ),
    _vectors(
        "vectors that are a gzip bomb",
        gzip_bomb(b"x 1 2 3\n" * 100_000, 1000),
        "times its size",
        "A megabyte that unpacks to a gigabyte.",
        "Reads for a quarter of an hour.",
        "v.txt.gz",
    ),
    Attack(
        "vectors of 10 GB of zeros",
        "A sparse file.",
        "Reads it whole.",
        sparse("v.txt", 10 << 30),
        read,
        DataError,
        "which is too long",
    ),
    Attack(
        "vectors on a pipe",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
        _pipe,
        read,
        DataError,
        "not a regular file",
    ),
]
