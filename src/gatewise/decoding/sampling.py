"""Drawing the next token: temperature, the k likeliest, the nucleus."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; temperature first, then top-k, then the nucleus of what is left.

    Args:
        temperature: logits are divided by it, 0 or more; 0 always takes the likeliest token.
        top_k: only so many of the likeliest tokens are drawn from; 0 = all.
        top_p: only the nucleus is drawn from, the fewest likeliest tokens whose probabilities together reach it; above
            0 and at most 1, which is all.

    Among equally likely tokens the one with the smaller number comes first.

    Raises:
        UsageError: a value out of its range.

    Source: Fan et al. 2018, "Hierarchical neural story generation", for top-k; Holtzman et al. 2020, "The curious case
    of neural text degeneration", for the nucleus.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"temperature is {self.temperature:g}; it must be 0 or more")
        if type(self.top_k) is not int or self.top_k < 0:
            raise UsageError(f"top_k is {self.top_k!r}; it is a whole number, 0 or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p:g}; it must be above 0 and at most 1")

    def probabilities(self, logits: Tensor) -> Tensor:
        """What is drawn from: logits [..., V], -inf for what is never drawn, to probabilities [..., V] float64."""
        logits = logits.double()
        if not self.temperature:
            return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
        highest = logits.amax(-1, keepdim=True)  # first, or a small temperature makes infinities of them
        p = ((logits - highest) / self.temperature).softmax(-1)
        return p if self._takes_all(p.shape[-1]) else self._cut(p)

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """A token for each row of logits [B, V] on the CPU: [B] int64."""
        if not self.temperature:
            return logits.argmax(-1)
        return torch.multinomial(self.probabilities(logits), 1, generator=generator)[:, 0]

    def _takes_all(self, tokens: int) -> bool:
        return self.top_p == 1 and not 0 < self.top_k < tokens

    def _cut(self, p: Tensor) -> Tensor:
        ranked, order = p.sort(dim=-1, descending=True, stable=True)
        if self.top_k:
            ranked[..., self.top_k :] = 0
            ranked /= ranked.sum(-1, keepdim=True)
        if self.top_p < 1:
            before = ranked.cumsum(-1) - ranked  # what the likelier ones have together
            ranked = ranked.masked_fill(before >= self.top_p, 0)
            ranked /= ranked.sum(-1, keepdim=True)
        return torch.zeros_like(p).scatter_(-1, order, ranked)
