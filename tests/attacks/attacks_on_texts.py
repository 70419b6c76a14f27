"""Texts: folders of them, what stands in them, and what a model makes of them."""

import math
import os
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attack_files import sparse, text_run

from gatewise.data.texts import read_texts
from gatewise.errors import DataError
from gatewise.tasks.classify.fitted import load_fitted


def _folder(name: str, change: Callable[[Path], object], says: str | None, what: str, naive: str) -> Attack:
    """A folder of two labels, changed; says: None where it is read all the same."""

    def make(folder: Path) -> Path:
        for label in ("good", "bad"):
            (folder / "in" / label).mkdir(parents=True)
            (folder / "in" / label / "1.txt").write_text(label)
        change(folder / "in")
        return folder / "in"

    error = None if says is None else DataError
    return Attack(name, what, naive, make, _read if error is None else read_texts, error, says or "")


def _read(path: Path) -> None:
    assert read_texts(path).texts == ["bad", "good"]


def _answered(name: str, text: str, what: str, naive: str) -> Attack:
    """A text that a model answers as any other."""

    def use(made: str) -> None:
        shares = load_fitted(text_run(), device="cpu").probabilities([made])
        assert shares.shape == (1, 2) and math.isclose(shares.sum(), 1)

    return Attack(name, what, naive, lambda folder: text_run() and text, use, None)


def _bytes_name(folder: Path, name: bytes) -> None:
    with open(os.fsencode(folder) + b"/" + name, "wb") as stream:  # noqa: PTH123 - a Path has no such name
        stream.write(b"x")


ON_TEXTS = [
    _folder(
        "pipe among the texts",
        lambda f: os.mkfifo(f / "good" / "2.txt"),
        "not a regular file",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
    ),
    _folder(
        "endless device among the texts",
        lambda f: (f / "good" / "2.txt").symlink_to("/dev/zero"),
        "not a regular file",
        "A link to /dev/zero.",
        "Reads for ever.",
    ),
    _folder(
        "loop of links among the texts",
        lambda f: (f / "good" / "2.txt").symlink_to("2.txt"),
        "there is no such file",
        "A link to itself.",
        "OSError.",
    ),
    _folder(
        "loop of folders",
        lambda f: (f / "good" / "up").symlink_to(f),
        "holds folders",
        "A link to its parent.",
        "Walks for ever.",
    ),
    _folder(
        "loop of labels",
        lambda f: (f / "loop").symlink_to("loop"),
        None,
        "A link to itself beside the labels.",
        "OSError.",
    ),
    _folder(
        "text of 10 GB",
        lambda f: sparse("2.txt", 10 << 30)(f / "good"),
        "which is too long",
        "A sparse file.",
        "Reads it whole.",
    ),
    _folder(
        "zip bombs among the texts",
        lambda f: [(f / "good" / f"{k}.zip").write_bytes(b"PK\3\4") for k in range(50)],
        None,
        "Archives with a label.",
        "Unpacks them.",
    ),
    _folder(
        "label that moves the cursor",
        lambda f: (f / "good").rename(f / "\x1b[2Jgood"),
        "control characters",
        "A folder's name with an escape sequence.",
        "Prints it with every answer.",
    ),
    _folder(
        "label of two lines",
        lambda f: (f / "good").rename(f / "good\nbad"),
        "control characters",
        "A folder's name with a line end.",
        "Two rows in the table of answers.",
    ),
    _folder(
        "text whose name is not UTF-8",
        lambda f: _bytes_name(f / "good", b"\xff.txt"),
        "not UTF-8",
        "A name of bytes.",
        "UnicodeEncodeError when the hash is made.",
    ),
    _folder(
        "NUL in a text",
        lambda f: (f / "good" / "2.txt").write_bytes(b"a\0b"),
        "NUL character",
        "A NUL.",
        "Two programs see two different texts.",
    ),
    _folder(
        "text that is not UTF-8",
        lambda f: (f / "good" / "2.txt").write_bytes(b"a\n\xff"),
        "line 2, byte 1: not UTF-8",
        "A byte that no UTF-8 has.",
        "UnicodeDecodeError.",
    ),
    _answered(
        "300,000 combining marks",
        "fine" + "\u0301" * 300_000,
        "One letter with 300,000 accents.",
        "Normalises it, in the square of their number.",
    ),
    _answered(
        "300,000 points",
        "." * 300_000,
        "A token a character.",
        "100 bytes and more a token, for all at once.",
    ),
    _answered(
        "200,000 apostrophes in a word",
        "a'" * 200_000,
        "A word that a regex can cut in many ways.",
        "Tries them all.",
    ),
    _answered(
        "300,000 digits",
        "1" * 300_000 + ".",
        "A number that nearly has a fraction.",
        "Goes back over every digit, in the square of their number.",
    ),
    _answered(
        "a line break tag that does not end",
        "<br" + " " * 300_000 + "x",
        "300,000 blanks in a tag.",
        "Goes back over every blank.",
    ),
    _answered(
        "text that is read from the right",
        "fine \u202emlif llud\u202c \u2066film",
        "Characters that turn the direction of writing.",
        "Shows a text that is not the one it answers.",
    ),
    _answered(
        "text of the model's own marks",
        "<pad> <unk> <pad>fine<unk>",
        "The names of the special tokens.",
        "Takes them for padding.",
    ),
    _answered(
        "text beyond the basic plane",
        "\U0010ffff\U000e0001 fine \ud7ff",
        "Characters of no block.",
        "IndexError.",
    ),
    _answered("text of nothing", "", "No token at all.", "A mean over no steps: NaN."),
]
