"""A model that a page runs by itself: its numbers as plain values, and as the JSON that the page's script reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.reports.page import Floats
from gatewise.reports.payload import packed, packed_or_none
from gatewise.shown import printable


@dataclass(frozen=True)
class LiveTokenizer:
    """How a text is cut: by `words`, or by byte pairs (`bpe`).

    Args:
        vocabulary: of words, each at its number; empty for byte pairs.
        byte_tokens: [256] the token of each byte, and merges: [M, 3] the numbers of left, right and merged token, the
            first learned first; empty for words.
        most: tokens that are read of a text; where: the part that stays of a longer one, head, tail or middle.
    """

    kind: str
    vocabulary: Sequence[str]
    byte_tokens: Sequence[int]
    merges: NDArray[np.int32]
    most: int
    where: str


@dataclass(frozen=True)
class LivePart:
    """One layer in one direction: weights in PyTorch's order of rows; a bias is None where there is none."""

    name: str
    cell: str
    reverse: bool
    weight_ih: Floats
    weight_hh: Floats
    bias_ih: Floats | None
    bias_hh: Floats | None


@dataclass(frozen=True)
class Linear:
    """weight [out, in] and bias [out]."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class LiveModel:
    """A classifier of texts, with one text and what Python makes of it.

    Args:
        embedding: [V, E]. pair_keys: [P] of word pairs, first · V + second; pair_vectors: [P + 1, E], the first row
            for no pair, or None.
        parts: the bottom layer first, of each layer the forward direction first; every layer has `directions` of them.
        pooling: last, mean, max or attention; attention: its score, or None.
        temperature: divides the logits.
        label: the place of the explained label. probabilities: [K], and push: [N] towards the label, as Python has them
            for the text; push None for a plain RNN.
    """

    tokenizer: LiveTokenizer
    embedding: Floats
    pair_keys: NDArray[np.float64]
    pair_vectors: Floats | None
    parts: Sequence[LivePart]
    directions: int
    pooling: str
    attention: Linear | None
    output: Linear
    labels: Sequence[str]
    temperature: float
    text: str
    label: int
    probabilities: Sequence[float]
    push: Sequence[float] | None

    @property
    def keeps_sums(self) -> bool:
        """Whether a layer has gates to hold and a memory that is a sum of writes."""
        return any(part.cell in ("lstm", "gru") for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes of all weights."""
        linear = [self.output, *([self.attention] if self.attention else [])]
        weights = [self.embedding, self.pair_keys, self.pair_vectors, self.tokenizer.merges]
        weights += [
            value
            for part in self.parts
            for value in (part.weight_ih, part.weight_hh, part.bias_ih, part.bias_hh)
        ]
        weights += [value for one in linear for value in (one.weight, one.bias)]
        return sum(value.nbytes for value in weights if value is not None)


def live_values(model: LiveModel) -> dict[str, Any]:
    """What the page's script reads; weights as float32 in base64."""
    pairs = model.pair_vectors
    return {
        "tokenizer": _tokenizer_values(model.tokenizer),
        "truncation": {"most": model.tokenizer.most, "where": model.tokenizer.where},
        "embedding": {
            "size": model.embedding.shape[1],
            "words": packed(model.embedding),
            "pairs": pairs
            if pairs is None
            else {"keys": _base64(model.pair_keys, "<f8"), "vectors": packed(pairs)},
        },
        "parts": [_part_values(part) for part in model.parts],
        "directions": model.directions,
        "pooling": model.pooling,
        "attention": model.attention and _linear_values(model.attention),
        "output": _linear_values(model.output),
        "labels": [printable(label) for label in model.labels],
        "temperature": model.temperature,
        "text": model.text,
        "label": model.label,
        "probabilities": list(model.probabilities),
        "push": model.push if model.push is None else list(model.push),
    }


def _tokenizer_values(tokenizer: LiveTokenizer) -> dict[str, Any]:
    return {
        "kind": tokenizer.kind,
        "vocabulary": list(tokenizer.vocabulary),
        "bytes": list(tokenizer.byte_tokens),
        "merges": _base64(tokenizer.merges, "<i4"),
    }


def _part_values(part: LivePart) -> dict[str, Any]:
    return {
        "name": printable(part.name),
        "cell": part.cell,
        "reverse": part.reverse,
        "inputs": part.weight_ih.shape[1],
        "units": part.weight_hh.shape[1],
        "weightIh": packed(part.weight_ih),
        "weightHh": packed(part.weight_hh),
        "biasIh": packed_or_none(part.bias_ih),
        "biasHh": packed_or_none(part.bias_hh),
    }


def _linear_values(linear: Linear) -> dict[str, str]:
    return {"weight": packed(linear.weight), "bias": packed(linear.bias)}


def _base64(values: NDArray, dtype: str) -> str:
    return base64.b64encode(values.astype(dtype).tobytes()).decode()
