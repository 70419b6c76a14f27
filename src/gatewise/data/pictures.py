"""Pictures from files that may come from anywhere: decoded within limits, the right way up, as RGB."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatewise.data.lines import MOST_FOLD
from gatewise.errors import DataError, UsageError
from gatewise.files import check_file

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF"}
"""What is read; the content decides, not the ending. None of them calls another program, as EPS would."""
MOST_BYTES = 100_000_000
"""Of a picture's file."""
MOST_PIXELS = 40_000_000
"""Of a picture: 160 MB while it is decoded. The header says how many there are, before any is."""
FREE_PIXELS = 8_000_000
"""From here on a picture may not unpack to more than `MOST_FOLD` times its size; photographs come to 5 to 50."""
INSTALL = "pip install 'gatewise[caption]'"
_NUMBER = re.compile(r"(\d+)")


def is_picture(path: Path) -> bool:
    """Whether a name ends as a picture's does; hidden files are none."""
    return path.suffix.lower() in FORMATS and not path.name.startswith(".")


def in_order(paths: list[Path]) -> list[Path]:
    """Files in the order of their names, in which `9` comes before `10`."""
    return sorted(
        paths, key=lambda path: [(len(p), p) if p.isdigit() else (0, p) for p in _NUMBER.split(path.name)]
    )


def read_picture(path: Path, near: int = 0) -> Image:
    """A picture as RGB, turned as its EXIF says, what is transparent over white; of an animation the first frame.

    Args:
        near: a JPEG may be decoded at a fraction of its size, down to this many pixels a side; 0: as it is.

    Raises:
        DataError: no regular file, more than `MOST_BYTES` or `MOST_PIXELS`, far more pixels than bytes, no picture of a
            known format, or one that cannot be decoded to its end.
        UsageError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise UsageError(f"pictures need Pillow; install it with {INSTALL}") from None
    raw = _bytes(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what is too large is refused below
        try:
            image = Image.open(io.BytesIO(raw), formats=sorted(set(FORMATS.values())))
            _check_pixels(path, *image.size, len(raw))
            if near:
                image.draft("RGB", (near, near))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _as_rgb(image)
        except DataError:
            raise
        except UnidentifiedImageError:
            raise DataError(f"{path}: not a picture ({_looks_like(raw)}); {_KNOWN} are read") from None
        except Image.DecompressionBombError:
            raise DataError(f"{path}: has far more than {MOST_PIXELS:,} pixels") from None
        except (
            Exception
        ) as error:  # the decoders raise whatever they meet: OSError, SyntaxError, struct.error, …
            raise DataError(f"{path}: a broken picture ({type(error).__name__}: {error})") from None


def squared(image: Image, size: int) -> NDArray[np.uint8]:
    """A picture as [3, size, size], all of it: its sides are scaled each by its own factor."""
    return np.asarray(image.resize((size, size), resample=2)).transpose(2, 0, 1).copy()


def picture_files(folder: Path) -> list[Path]:
    """The pictures that a folder holds, in the order of names.

    Raises:
        DataError: it cannot be read, or holds no picture.
    """
    try:
        found = in_order([path for path in folder.iterdir() if is_picture(path)])
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None
    if not found:
        raise DataError(f"{folder}: there is no picture in it ({', '.join(FORMATS)})")
    return found


def _bytes(path: Path) -> bytes:
    check_file(path, DataError)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(raw) > MOST_BYTES:
        raise DataError(f"{path}: has more than {MOST_BYTES:,} bytes, which is too much for a picture")
    return raw


def _check_pixels(path: Path, width: int, height: int, size: int) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{path}: {width:,} × {height:,} pixels, which is more than {MOST_PIXELS:,}; make it smaller"
        )
    if width * height > FREE_PIXELS and 3 * width * height > MOST_FOLD * size:
        raise DataError(
            f"{path}: {width:,} × {height:,} pixels in {size:,} bytes, which is more than {MOST_FOLD} times its size; "
            "make it smaller"
        )


def _as_rgb(image: Image) -> Image:
    from PIL import Image as pillow  # noqa: N813 - the module, beside the class of the same name

    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip to 8
        return pillow.fromarray((np.asarray(image).clip(0, 65_535) // 257).astype(np.uint8)).convert("RGB")
    if "A" in image.mode or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = pillow.alpha_composite(pillow.new("RGBA", clear.size, "white"), clear)
    return image.convert("RGB")


def _looks_like(raw: bytes) -> str:
    if not raw:
        return "the file is empty"
    try:
        raw[:1000].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(raw[:1000]) - 4:
            return "its bytes are of no such format"
    return "its first bytes are text"


_KNOWN = "PNG, JPEG, WebP, BMP and GIF"
