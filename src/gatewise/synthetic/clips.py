"""Clips of a shape that moves, each with the sentence that says which and where; as arrays, or as folders of frames."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import UsageError

COLOURS = {"red": (214, 49, 40), "green": (38, 150, 70), "blue": (40, 86, 200), "yellow": (235, 195, 40)}
SHAPES = ("circle", "square", "triangle")
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SENTENCES = tuple(f"a {c} {s} moves {w}" for c, s, w in product(COLOURS, SHAPES, WAYS))
"""All 48 that there are."""


@dataclass(frozen=True)
class Clips:
    """Drawn clips.

    Attributes:
        frames: [N, T, size, size, 3] uint8.
        sentences: what each shows.
    """

    frames: NDArray[np.uint8]
    sentences: list[str]


def draw_clips(count: int, *, frames: int = 6, size: int = 32, seed: int = 0) -> Clips:
    """Draw clips: colour, shape, direction, size, place, pace and the grey of the ground are all by chance.

    The shape is wholly within every frame, so that no frame but their order tells the direction.

    Raises:
        UsageError: fewer than 1 clip, 2 frames or 16 pixels.
    """
    if count < 1 or frames < 2 or size < 16:
        raise UsageError(f"{count} clips of {frames} frames of {size} pixels; 1, 2 and 16 are the fewest")
    chance = np.random.default_rng(seed)
    sentences = [SENTENCES[k] for k in chance.integers(len(SENTENCES), size=count)]
    drawn = np.stack([_clip(sentence, frames, size, chance) for sentence in sentences])
    return Clips(drawn, sentences)


def write_clips(clips: Clips, folder: str | Path) -> tuple[Path, Path]:
    """Write clips as `gatewise train caption` reads them: a folder of PNGs each, and a table of the sentences.

    Args:
        folder: is made, or is empty.

    Returns: the folder with the clips, and the table.
    """
    from PIL import Image

    place = Path(folder)
    table = place / "captions.csv"
    with_frames = place / "clips"
    with_frames.mkdir(parents=True)
    rows = []
    for number, (clip, sentence) in enumerate(zip(clips.frames, clips.sentences, strict=True)):
        name = f"clip{number:05d}"
        (with_frames / name).mkdir()
        for k, frame in enumerate(clip):
            Image.fromarray(frame).save(with_frames / name / f"frame{k:03d}.png")
        rows.append((name, sentence))
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("clip", "caption"), *rows])
    return with_frames, table


def _clip(sentence: str, frames: int, size: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    _, colour, shape, _, way = sentence.split()
    radius = chance.uniform(0.15, 0.22) * size
    room = size - 2 * radius  # that the middle of the shape has
    path = chance.uniform(0.45, 0.9) * room
    across, along = radius + chance.uniform(0, room), radius + chance.uniform(0, room - path)
    dx, dy = WAYS[way]
    ground = np.full((size, size, 3), chance.integers(170, 250), np.float64)
    noise = chance.normal(0, 4, (frames, size, size, 1))
    drawn = []
    for k in range(frames):
        at = along + path * (k / (frames - 1) if dx + dy > 0 else 1 - k / (frames - 1))
        x, y = (at, across) if dx else (across, at)
        inside = _shape(shape, size, x, y, radius)[..., None]
        drawn.append(np.where(inside, COLOURS[colour], ground) + noise[k])
    return np.stack(drawn).clip(0, 255).astype(np.uint8)


def _shape(shape: str, size: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """The pixels inside a shape around (x, y), [size, size]."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    right, down = (columns - x) / radius, (rows - y) / radius
    if shape == "circle":
        return right**2 + down**2 <= 1
    if shape == "square":
        return np.maximum(abs(right), abs(down)) <= 0.85
    return (down <= 0.9) & (down >= 2 * abs(right) - 1)  # a triangle that points up
