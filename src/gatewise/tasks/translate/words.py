"""Words whole, where tokens are pieces of them."""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.data.tokenizer import Tokenizer


def whole_words(text: str, spans: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The pieces of each word of a text, in order.

    Pieces belong together where letters or digits touch, or where they share a character; a blank belongs to what
    follows.

    Args:
        spans: start and end of each piece in the text, rising.
    """
    words: list[list[int]] = []
    end = 0
    for k, (start, stop) in enumerate(spans):
        inside = start < end or start == stop
        touches = start == end > 0 and text[start - 1].isalnum() and text[start : start + 1].isalnum()
        after_blank = end > 0 and not text[spans[k - 1][0] : end].strip()
        if words and (inside or touches or after_blank):
            words[-1].append(k)
        else:
            words.append([k])
        end = max(end, stop)
    return words


def written_spans(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
    """Written byte pairs as a text, and where each stands in it, without the space before it."""
    text = tokenizer.decode(ids)
    ends = [min(len(tokenizer.decode(ids[: k + 1])), len(text)) for k in range(len(ids))]
    spans = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        start = min(start, end)
        blank = len(text[start:end]) - len(text[start:end].lstrip())
        spans.append((start + blank if blank < end - start else start, end))
    return text, spans
