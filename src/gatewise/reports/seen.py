"""The page of a sentence about a picture: the picture once for every word, clear where the model looked for it.

The picture stands in the page as a JPEG that is encoded here, of its pixels alone: no comment, place or preview that
the file holds comes along.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from gatewise.reports.rendering import render_document

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 640
"""Pixels of the longer side of a picture in the page."""
FRAME = 160
COLUMNS = 4
GAP = 6
VEIL = 0.82
"""How dark a cell is that was not looked at."""


class Region(NamedTuple):
    """What one step of the memory stands for, in pixels of the sheet."""

    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Sheet:
    """What is shown: one picture, or a clip's frames side by side.

    Attributes:
        source: a data URI. regions: one for each step of the memory, in its order.
    """

    source: str
    width: int
    height: int
    regions: list[Region]


@dataclass(frozen=True)
class SeenWord:
    """A word and where the model looked for it.

    Attributes:
        probability: of the word, given those before it; `unseen`: that with a grey picture in its place, or None.
        attention: [h, w] of a grid or [frames]; sums to 1.
    """

    text: str
    probability: float
    unseen: float | None
    attention: Tensor

    @property
    def most_at(self) -> str:
        """The place that was looked at most."""
        place = int(self.attention.argmax())
        if self.attention.dim() == 1:
            return f"frame {place + 1}"
        row, column = divmod(place, self.attention.shape[1])
        return f"row {row + 1}, column {column + 1}"

    @property
    def spread(self) -> float:
        """Over how many places the attention is spread: exp of its entropy, 1 for a single one."""
        weights = self.attention.flatten().double()
        return math.exp(float(-(weights * weights.clamp(min=1e-12).log()).sum()))

    @property
    def veils(self) -> list[float]:
        """How dark each place is: 0 for the one that was looked at most."""
        weights = self.attention.flatten()
        return (VEIL * (1 - weights / weights.max().clamp(min=1e-12))).tolist()


@dataclass(frozen=True)
class SeenPage:
    """What the page says; `about`: sentences on what the model saw."""

    name: str
    text: str
    log_probability: float
    words: list[SeenWord]
    candidates: list[tuple[str, float, float]]
    sheet: Sheet
    about: list[str]


def render(page: SeenPage) -> str:
    """One self-contained HTML file; see `render_document`."""
    return render_document(
        "seen.html.j2",
        f"{page.text} · {page.name}",
        styles=("page/base", "page/tables", "seen/seen"),
        scripts=(),
        shows_pictures=True,
        page=page,
        places=len(page.sheet.regions),
        has_unseen=any(word.unseen is not None for word in page.words),
    )


def picture_sheet(picture: Image, rows: int, columns: int) -> Sheet:
    """A picture with the cells of a grid over all of it."""
    picture = picture.copy()
    picture.thumbnail((LARGEST, LARGEST))
    width, height = picture.width / columns, picture.height / rows
    regions = [
        Region(f"row {r + 1}, column {c + 1}", c * width, r * height, width, height)
        for r in range(rows)
        for c in range(columns)
    ]
    return Sheet(_data_uri(picture), picture.width, picture.height, regions)


def frames_sheet(frames: Sequence[Image]) -> Sheet:
    """The frames of a clip from left to right and from top to bottom."""
    from PIL import Image

    first = frames[0]
    width = FRAME
    height = max(1, round(FRAME * first.height / first.width))
    columns = min(COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    size = columns * (width + GAP) - GAP, rows * (height + GAP) - GAP
    sheet = Image.new("RGB", size, "white")
    regions = []
    for k, frame in enumerate(frames):
        x, y = k % columns * (width + GAP), k // columns * (height + GAP)
        sheet.paste(frame.resize((width, height), resample=0 if frame.width < width else 2), (x, y))
        regions.append(Region(f"frame {k + 1}", x, y, width, height))
    return Sheet(_data_uri(sheet), *size, regions)


def _data_uri(picture: Image) -> str:
    from PIL import Image

    stream = io.BytesIO()
    pixels = Image.frombytes("RGB", picture.size, picture.tobytes())  # and nothing else of the file
    pixels.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
