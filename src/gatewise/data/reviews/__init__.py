"""The short reviews that ship with the package, for the demo and for first steps; their data card is README.md."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Literal

from gatewise.data.texts import Texts
from gatewise.errors import UsageError

FILE = "reviews.jsonl"
Split = Literal["train", "test"]


def load_reviews(split: Split | None = None) -> Texts:
    """The 4,040 embedded reviews, in the order of the file.

    Args:
        split: "train" (3,232 reviews), "test" (808), or None for all of them.

    Returns: ids "r0001" …, texts, and the labels "positive" and "negative"; the two of a contrast pair are one group;
        `sha256` is the whole file's.

    Raises:
        UsageError: another split.
    """
    if split not in (None, "train", "test"):
        raise UsageError(f"split is {split!r}; it must be 'train', 'test' or None")
    raw = resources.files(__name__).joinpath(FILE).read_bytes()
    rows = [json.loads(line) for line in raw.decode("utf-8").splitlines()]
    rows = [row for row in rows if split in (None, row["split"])]
    return Texts(
        ids=[row["id"] for row in rows],
        texts=[row["text"] for row in rows],
        labels=[row["label"] for row in rows],
        source="embedded reviews" + (f", {split} part" if split else ""),
        sha256=hashlib.sha256(raw).hexdigest(),
        text_column="text",
        label_column="label",
        groups=[row.get("pair", row["id"]) for row in rows],
    )
