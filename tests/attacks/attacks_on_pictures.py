"""Pictures, and tables that name them."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attack_files import as_file

from gatewise.data.captions import read_captions
from gatewise.data.pictures import read_picture
from gatewise.errors import DataError


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that promises so many pixels of three bytes and holds none."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    image = _chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + image + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _picture(name: str, content: bytes, says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, as_file("a.png", content), read_picture, DataError, says)


def flat(width: int, height: int) -> bytes:
    """A whole PNG of one clear colour, a line at a time."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    packer = zlib.compressobj(9)
    lines = b"".join(packer.compress(bytes(1 + 4 * width)) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", lines) + _chunk(b"IEND", b"")


def _special(name: str, make: Callable[[Path], object], what: str) -> Attack:
    def made(folder: Path) -> Path:
        make(folder / "a.png")
        return folder / "a.png"

    return Attack(
        name, what, "Waits, or reads for ever.", made, read_picture, DataError, "not a regular file"
    )


def _named(image: str):
    def make(folder: Path) -> Path:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "a.png").write_bytes(b"")
        (folder / "c.csv").write_text(f"image,caption\n{image},x\n")
        return folder

    return make


def _read(folder: Path) -> object:
    return read_captions(folder / "pictures", folder / "c.csv")


ON_PICTURES = [
    _picture(
        "a picture of ten thousand million pixels",
        png(100_000, 100_000),
        "far more than 40,000,000 pixels",
        "A header of a few bytes.",
        "Makes room for 30 GB.",
    ),
    _picture(
        "a picture of fifty million pixels",
        png(10_000, 5_000),
        "10,000 × 5,000 pixels",
        "A header below what Pillow warns of.",
        "Decodes it.",
    ),
    _picture(
        "a clear picture of thirty-nine million pixels in some kB",
        flat(6_300, 6_200),
        "times its size; make it smaller",
        "Whole and right, one colour, with transparency.",
        "Takes 600 MB and more than a second to put it over white.",
    ),
    _picture(
        "a GIF of thirty-nine million pixels that holds none",
        b"GIF89a"
        + struct.pack("<HHBBB", 6_300, 6_200, 0, 0, 0)
        + b",\0\0\0\0"
        + struct.pack("<HHBB", 6_300, 6_200, 0, 8),
        "times its size; make it smaller",
        "Two headers.",
        "Makes room first.",
    ),
    _special("a picture that never ends", lambda path: path.symlink_to("/dev/zero"), "A link to /dev/zero."),
    _special("a picture that nobody writes", os.mkfifo, "A pipe."),
    _picture(
        "a picture whose text unpacks to 200 MB",
        png(4, 4, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
        "a broken picture",
        "A compressed comment.",
        "Unpacks it.",
    ),
    _picture(
        "a program in place of a picture",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
        "not a picture (its first bytes are text)",
        "PostScript with the name of a PNG.",
        "Lets Ghostscript run it.",
    ),
    Attack(
        "a table that names a file outside its folder",
        "../ in a name.",
        "Reads what it should not.",
        _named("../c.csv"),
        _read,
        DataError,
        "names no picture inside",
    ),
    Attack(
        "a table that names a file of the system",
        "An absolute path.",
        "Reads what it should not.",
        _named("/etc/passwd"),
        _read,
        DataError,
        "names no picture inside",
    ),
]
