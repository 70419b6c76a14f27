"""How probable a language model finds a text, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.errors import DataError
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.writing import line_end, read_text

TOKENS_AT_ONCE = 1024
"""Of a call: their logits exist together."""


class TokenScore(NamedTuple):
    """One token of a text: its log-probability (natural) after all before it, its rank among all tokens from 1, and the
    likeliest token there with its probability."""

    token: str
    log_probability: float
    rank: int
    likeliest: str
    probability: float


@dataclass(frozen=True)
class TextScore:
    """The tokens of a text; `notes`: what was unknown."""

    tokens: list[TokenScore]
    notes: list[str]

    @property
    def log_probability(self) -> float:
        """Of the whole text, natural."""
        return math.fsum(one.log_probability for one in self.tokens)

    def figures(self) -> dict[str, Any]:
        """`log_probability`, `tokens`, `perplexity` (None where that is beyond float64)."""
        loss = -self.log_probability / len(self.tokens)
        return {
            "log_probability": self.log_probability,
            "tokens": len(self.tokens),
            "perplexity": math.exp(loss) if loss < 709 else None,
        }


def score_text(fitted: FittedLanguageModel, text: str) -> TextScore:
    """The log-probability of a text that stands at the beginning of a line: its first token is predicted too, after a
    line end, or where the vocabulary has none from a zero state.

    Raises:
        DataError: no token. UsageError: characters that the vocabulary lacks, or a text that is not UTF-8.
    """
    start, read = line_end(fitted.vocabulary), read_text(fitted.vocabulary, text, "text")
    if not len(read.tokens):
        raise DataError("the text is empty")

    def name(token: int) -> str:
        return fitted.vocabulary.decode([token])

    found = [
        TokenScore(name(token), float(log_p[token]), int((log_p > log_p[token]).sum()) + 1, name(best), float(p))
        for token, log_p in zip(read.tokens.tolist(), _log_probabilities(fitted, start, read.tokens), strict=True)
        for p, best in [(log_p.max().exp(), int(log_p.argmax()))]
    ]  # fmt: skip
    return TextScore(found, read.notes)


@torch.no_grad()
def _log_probabilities(fitted: FittedLanguageModel, start: Tensor, tokens: Tensor) -> Iterator[Tensor]:
    """What is expected in the place of each token, [V] float64 on the CPU."""
    network, state = fitted.network.train(False), None
    if not len(start):
        yield network.output_bias.double().log_softmax(-1).cpu()
    for piece in torch.cat([start, tokens])[:-1].split(TOKENS_AT_ONCE):
        logits, state = network(piece.unsqueeze(1).to(network.embedding.device), state)
        yield from logits[:, 0].double().log_softmax(-1).cpu()
