"""The best targets that an attentional decoder can write, by beam search."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.decoding.beam_search import Hypothesis, Search, beam_search
from gatewise.decoding.decoder import AttentionalDecoder, Decoding


def search_decoder(
    decoder: AttentionalDecoder,
    start: Decoding,
    how: Search,
    *,
    begin: int,
    end: int,
    never: Sequence[int],
    longest: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """The best targets of every row, the best first; see `beam_search`.

    Args:
        start: as `AttentionalDecoder.begin` gives it.
        never: tokens that are not written; the probabilities are those among all others.
        longest: of each row; None: `how.longest` of every row.
    """
    unwritten = torch.tensor(never, device=start.memory.inside.device)

    def step(tokens: Tensor, state: Decoding) -> tuple[Tensor, Tensor, Decoding]:
        logits, weights, state = decoder.step(tokens, state)
        return logits.index_fill(2, unwritten, -torch.inf).log_softmax(-1), weights, state

    return beam_search(step, start, start.memory.inside, how, begin=begin, end=end, longest=longest)
