"""A run's answers to inputs, one row each; a text of which it knows no word gets none."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import DataError

if TYPE_CHECKING:
    from gatewise.data.tokenizer import Tokenizer
    from gatewise.tasks.classify.fitted import FittedClassifier

UNREADABLE = "the text has no word that the model knows, so any answer would say nothing about it"
Row = dict[str, Any]


def answers(fitted: FittedClassifier, inputs: Sequence[Any], all_labels: bool) -> list[Row]:
    """A row an input: label, its probability, and with `all_labels` that of every label; "" where there is none."""
    found = []
    known = knows(fitted, inputs)
    for readable, shares in zip(known, fitted.probabilities(inputs), strict=True):
        best = int(shares.argmax())
        row: Row = {"label": fitted.labels[best], "probability": round(float(shares[best]), 6)}
        if all_labels:
            named = zip(fitted.labels, shares, strict=True)
            row |= {f"probability_{label}": round(float(share), 6) for label, share in named}
        found.append(row if readable else dict.fromkeys(row, ""))
    return found


def answer(fitted: FittedClassifier, text: str, all_labels: bool) -> Row:
    """The row of one text.

    Raises:
        DataError: the text has no word that the model knows.
    """
    check_known(fitted, text)
    return answers(fitted, [text], all_labels)[0]


def check_known(fitted: FittedClassifier, text: str) -> None:
    """Refuse a text that has no word, or none that the model knows."""
    if not text.strip():
        raise DataError("the text is empty")
    if not knows(fitted, [text])[0]:
        raise DataError(UNREADABLE)


def knows(fitted: FittedClassifier, inputs: Sequence[Any]) -> list[bool]:
    """Whether the model knows a word of each text that it reads; numeric sequences are always known.

    A known full stop among unknown words is no word; a text of known punctuation alone has nothing unknown in it.
    """
    from gatewise.data.tokenizer import UNK_ID
    from gatewise.tasks.classify.encode import TextEncoder

    encoder = fitted.encoder
    if not isinstance(encoder, TextEncoder):
        return [True] * len(inputs)
    words = _words(encoder.tokenizer)
    arrays = encoder.cut(encoder.full(inputs))
    return [len(ids) > 0 and bool(words[ids].any() or (ids != UNK_ID).all()) for ids in arrays]


@lru_cache(maxsize=1)
def _words(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Which tokens of the vocabulary are more than punctuation; [V]."""
    from gatewise.data.tokenizer import UNK_ID

    found = np.array([any(unicodedata.category(c)[0] not in "PZC" for c in t) for t in tokenizer.vocabulary])
    found[: UNK_ID + 1] = False  # padding and the unknown token
    return found


def unanswered(rows: Sequence[Mapping[str, Any]], places: Sequence[str], source: str) -> str | None:
    """A sentence on the rows that have no answer, with the first one's place; None when all have one.

    Raises:
        DataError: no row has an answer.
    """
    without = [place for row, place in zip(rows, places, strict=True) if row["label"] == ""]
    if not without:
        return None
    if len(without) == len(rows):
        raise DataError(f"{source}: no text has a word that the model knows, so there is nothing to answer")
    return (
        f"{len(without):,} of {len(rows):,} texts have no word that the model knows (the first is {without[0]}); "
        "they get no label"
    )
