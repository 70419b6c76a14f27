"""Texts or series become arrays of one length limit, and batches of them padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from gatewise.data.batches import pad_ids, pad_values
from gatewise.data.scaler import Scaler
from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import Tokenizer, truncate
from gatewise.errors import UsageError

Arrays = list[np.ndarray]
_CUT = {"head": "the end was cut", "tail": "the beginning was cut", "middle": "the middle was cut"}


@dataclass(frozen=True)
class TextEncoder:
    """Texts as token ids, each int32 [T ≤ max_length]; `where` is the part of a longer text that stays."""

    tokenizer: Tokenizer
    max_length: int
    where: str
    kind = "texts"

    def inputs(self, data: Texts | Series) -> Sequence[Any]:
        if not isinstance(data, Texts):
            raise UsageError("this model reads texts, and was given numeric sequences")
        return data.texts

    def full(self, texts: Sequence[str]) -> Arrays:
        """Encoded, not yet cut."""
        if not all(isinstance(text, str) for text in texts):
            kind = next(type(text).__name__ for text in texts if not isinstance(text, str))
            raise UsageError(f"a text is needed, and a {kind} was given")
        return self.tokenizer.encode_ids(texts)

    def cut(self, arrays: Arrays) -> Arrays:
        return [truncate(array, self.max_length, self.where) for array in arrays]

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        return pad_ids(arrays)


@dataclass(frozen=True)
class SeriesEncoder:
    """Numeric sequences scaled and filled, each float32 [T ≤ max_length, F]."""

    scaler: Scaler
    max_length: int
    where: str
    features: list[str] = field(default_factory=list)
    kind = "series"

    def inputs(self, data: Texts | Series) -> Sequence[Any]:
        if not isinstance(data, Series):
            raise UsageError("this model reads numeric sequences, and was given texts")
        if self.features and data.features and data.features != self.features:
            raise UsageError(
                f"this model was trained on the features {', '.join(self.features)}, "
                f"and was given {', '.join(data.features)}"
            )
        return data.values

    def full(self, values: Sequence[Any]) -> Arrays:
        """Scaled, not yet cut."""
        return [self.scaler.transform(as_steps(one, number)) for number, one in enumerate(values, 1)]

    def cut(self, arrays: Arrays) -> Arrays:
        return [truncate(array, self.max_length, self.where) for array in arrays]

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        return pad_values(arrays)


Encoder = TextEncoder | SeriesEncoder


def as_steps(one: Any, number: int) -> np.ndarray:
    """Example `number` of X as float64 [T, F], NaN where a value is missing.

    Raises:
        UsageError: it is no table of numbers, or a number in it is infinite.
    """
    try:
        values = np.asarray(one, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.ndim != 2:
        raise UsageError(f"X: example {number} is neither a text nor numbers [T, F]")
    if np.isinf(values).any():
        step, feature = np.argwhere(np.isinf(values))[0] + 1
        raise UsageError(f"X: example {number}, step {step}, feature {feature}: the value is infinite")
    return values


def cut_note(encoder: Encoder, arrays: Arrays, part: str) -> list[str]:
    """One sentence on how many were longer than the limit and what of them was cut; none when none was."""
    longer = sum(len(array) > encoder.max_length for array in arrays)
    if not longer:
        return []
    unit = "tokens" if encoder.kind == "texts" else "steps"
    return [
        f"{longer:,} of {len(arrays):,} {encoder.kind} of the {part} part are longer than "
        f"{encoder.max_length:,} {unit}; {_CUT[encoder.where]}"
    ]
