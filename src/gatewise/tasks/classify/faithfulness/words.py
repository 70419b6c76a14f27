"""A text as its words, as far as a model reads them, and the same text without some of them.

A word is what the tokenizer `words` calls one, whatever the model's own tokens are: a word with its inner apostrophes,
a number with its inner points, or one other sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gatewise.data.tokenizer import Encoded, Tokenizer, kept_positions
from gatewise.tasks.classify.encode import TextEncoder

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class WordText:
    """A text of N words, which the model reads as T tokens.

    Args:
        text: with nothing in it that the model does not read.
        spans: start and end of each word, in characters.
        ids: [T], as the network reads them.
        word_of: [T] int64, the word that each token belongs to; what stands between two words goes to the second.
    """

    text: str
    spans: list[tuple[int, int]]
    ids: NDArray[np.int32]
    word_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.spans)

    def keeping(self, kept: Bools) -> str:
        """The text with the words of a mask [N] alone.

        What stands between two words that both stay and were neighbours stays; a blank joins those that were none.
        """
        return _joined(self.text, self.spans, kept)

    def of_words(self, of_tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers of the tokens [T] summed by word, [N]."""
        return np.bincount(self.word_of, of_tokens, len(self)).astype(np.float64)

    def tokens_of(self, words: Bools) -> Bools:
        """Which tokens belong to the words of masks [M, N]: [M, T]."""
        return words[:, self.word_of]


def read_words(encoder: TextEncoder, text: str) -> WordText:
    """A text as the model reads it; of one that is too long the words that it reads, and nothing else."""
    spans = _word_spans(encoder, text)
    encoded = encoder.tokenizer.encode(text)
    if len(encoded) > encoder.max_length:
        word_of = _words_of(encoded, spans)
        unread = np.ones(len(encoded), bool)
        unread[kept_positions(len(encoded), encoder.max_length, encoder.where)] = False
        text = _joined(text, spans, ~np.isin(np.arange(len(spans)), word_of[unread]))
        spans, encoded = _word_spans(encoder, text), encoder.tokenizer.encode(text)
    encoded = encoded.take(kept_positions(len(encoded), encoder.max_length, encoder.where))
    return WordText(text, spans, np.array(encoded.ids, np.int32), _words_of(encoded, spans))


@cache
def _cutter() -> Tokenizer:
    return Tokenizer.train([], "words")


def _word_spans(encoder: TextEncoder, text: str) -> list[tuple[int, int]]:
    tokenizer = encoder.tokenizer if encoder.tokenizer.kind == "words" else _cutter()
    return tokenizer.encode(text).spans


def _words_of(encoded: Encoded, spans: list[tuple[int, int]]) -> NDArray[np.int64]:
    """The word of each token, [T]: the one in which it begins, or the next one, or the last."""
    ends = np.array([end for _, end in spans], np.int64)
    begins = np.array([start for start, _ in encoded.spans], np.int64)
    return np.searchsorted(ends, begins, side="right").clip(max=max(0, len(spans) - 1))


def _joined(text: str, spans: list[tuple[int, int]], kept: Bools) -> str:
    places = np.flatnonzero(kept).tolist()
    if not places:
        return ""
    parts = [text[: spans[0][0]] if places[0] == 0 else ""]
    last = places[0] - 1
    for place in places:
        start, end = spans[place]
        if place != places[0]:
            parts.append(text[spans[last][1] : start] if place == last + 1 else " ")
        parts.append(text[start:end])
        last = place
    if last == len(spans) - 1:
        parts.append(text[spans[last][1] :])
    return "".join(parts)
