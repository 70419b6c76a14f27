"""Token ids become vectors: a word's embedding plus that of the pair it forms with the word before it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PAD, UNKNOWN = 0, 1
FIRST_WORD = 2
LEAST_PAIRS = 3


def frequent_pairs(sequences: Iterable[NDArray[np.int64]], vocabulary: int, most: int) -> Tensor:
    """The most frequent pairs of neighbouring known tokens, among those seen at least three times.

    Args:
        sequences: ids of the training texts, each [T].
        most: how many pairs at most.

    Returns:
        Sorted keys `first * vocabulary + second`, [≤ most] int64. Among equally frequent pairs the lower key wins.
    """
    parts = [ids[:-1] * vocabulary + ids[1:] for ids in sequences if len(ids) > 1]
    known = [key[(key // vocabulary >= FIRST_WORD) & (key % vocabulary >= FIRST_WORD)] for key in parts]
    keys, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *known]), return_counts=True)
    keys, counts = keys[counts >= LEAST_PAIRS], counts[counts >= LEAST_PAIRS]
    chosen = np.lexsort((keys, -counts))[:most]
    return torch.from_numpy(np.sort(keys[chosen]))


class TokenEmbedding(nn.Module):
    """Embeds ids [T, B] as [T, B, E]: e(w_t) + e'(w_{t-1}, w_t); padding (id 0) is the zero vector.

    In training, word dropout reads a word as unknown (id 1), and pair dropout leaves a pair out.

    Args:
        vocabulary: number of ids, those of padding and the unknown token included.
        pairs: sorted keys from `frequent_pairs`; empty for none.
        vectors: first embeddings [vocabulary, size], with NaN in the rows that have none; or None.
    """

    pairs: Tensor

    def __init__(
        self,
        vocabulary: int,
        size: int,
        pairs: Tensor,
        *,
        word_dropout: float = 0.0,
        pair_dropout: float = 0.0,
        vectors: Tensor | None = None,
    ):
        super().__init__()
        self.vocabulary, self.word_dropout, self.pair_dropout = vocabulary, word_dropout, pair_dropout
        self.words = nn.Embedding(vocabulary, size, padding_idx=PAD)
        self.register_buffer("pairs", pairs)
        self.pair_words = nn.Embedding(len(pairs) + 1, size, padding_idx=PAD) if len(pairs) else None
        with torch.no_grad():
            nn.init.normal_(self.words.weight, std=0.1)
            if vectors is not None:
                self.words.weight.copy_(torch.where(vectors.isnan(), self.words.weight, vectors))
            self.words.weight[PAD] = 0
            if self.pair_words is not None:
                nn.init.zeros_(self.pair_words.weight)

    def pair_ids(self, ids: Tensor) -> Tensor:
        """Row of each step's pair in the pair embeddings; 0 where the pair is not among them. [T, B]"""
        keys = ids[:-1] * self.vocabulary + ids[1:]  # [T-1, B]
        at = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        rows = torch.zeros_like(ids)
        rows[1:] = torch.where(self.pairs[at] == keys, at + 1, 0)
        return rows

    def forward(self, ids: Tensor) -> Tensor:
        words = ids
        if self.training and self.word_dropout:
            lost = torch.rand(ids.shape, device=ids.device) < self.word_dropout
            words = torch.where(lost & (ids != PAD), UNKNOWN, ids)
        embedded = self.words(words)  # [T, B, E]
        if self.pair_words is None:
            return embedded
        rows = self.pair_ids(ids)
        if self.training and self.pair_dropout:
            rows = rows * (torch.rand(rows.shape, device=rows.device) >= self.pair_dropout)
        return embedded + self.pair_words(rows)
