"""Attention: which steps of a memory a query reads, and what it finds there.

Both kinds share one call, `context, weights = attention(queries, attention.remember(values, lengths))`.

Shapes: queries [T, B, H], values [S, B, M], lengths [B] int64 with 0 ≤ length ≤ S; context [T, B, M] and weights
    [T, B, S]. The weights of a query are 0 or more, exactly 0 beyond the length, and sum to 1; a memory without steps
    has weights and context 0. Many queries of a row may be asked at once: the steps of a sequence, or beams.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Memory(NamedTuple):
    """What can be read: made once, asked at every step.

    Attributes:
        values: [S, B, M].
        keys: what queries are compared with, [S, B, K].
        inside: the steps within each length, [S, B] bool.
    """

    values: Tensor
    keys: Tensor
    inside: Tensor

    def read(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The softmax of scores [B, T, S] over the steps inside, and the values' sum under it."""
        inside = self.inside.t()[:, None]  # [B, 1, S]
        # The lowest finite number, not -inf: of a memory without steps the softmax stays finite, and so its gradient.
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~inside, lowest).softmax(2) * inside  # [B, T, S]
        context = weights.to(self.values.dtype) @ self.values.transpose(0, 1)  # [B, T, M]
        return context.transpose(0, 1), weights.transpose(0, 1)


class LuongAttention(nn.Module):
    """Multiplicative attention: score(h, m) = hᵀ W m.

    Source: Luong, Pham & Manning 2015, "Effective approaches to attention-based neural machine translation",
        equation 8 ("general").
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def remember(self, values: Tensor, lengths: Tensor) -> Memory:
        return Memory(values, self.key(values), _inside(values, lengths))

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        return memory.read(queries.transpose(0, 1) @ memory.keys.permute(1, 2, 0))


class BahdanauAttention(nn.Module):
    """Additive attention: score(h, m) = vᵀ tanh(W h + U m); W h and U m have `size` features.

    It holds T·S·B·size numbers at once.

    Source: Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and translate",
        appendix A.1.2.
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__()
        size = size or query_size
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def remember(self, values: Tensor, lengths: Tensor) -> Memory:
        return Memory(values, self.key(values), _inside(values, lengths))

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        asked = self.query(queries).transpose(0, 1)[:, :, None]  # [B, T, 1, K]
        keys = memory.keys.transpose(0, 1)[:, None]  # [B, 1, S, K]
        return memory.read(self.score(torch.tanh(asked + keys))[..., 0])


ATTENTIONS: dict[str, type[LuongAttention] | type[BahdanauAttention]] = {
    "luong": LuongAttention,
    "bahdanau": BahdanauAttention,
}


def _inside(values: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(len(values), device=values.device)[:, None] < lengths
