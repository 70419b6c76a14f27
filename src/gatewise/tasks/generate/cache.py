"""The continuous cache: a token that followed a state like the present one, not long ago, is likelier.

    p(x_{t+1}) = (1 - λ) p_model(x_{t+1}) + λ Σ_i softmax_i(θ h_t · h_i) [x_{i+1} = x_{t+1}],  i = t - n … t - 1

Nothing is learned: it reads the last layer's output h of the n steps before. Source: Grave, Joulin & Usunier 2017,
"Improving neural language models with a continuous cache", equations 2 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.tasks.generate.measure import NLL, check_predictions
from gatewise.tasks.generate.model import LanguageModel, State
from gatewise.tasks.generate.output import token_nll

STEPS_AT_ONCE = 512


@dataclass(frozen=True)
class Cache:
    """How much is remembered, and what it counts.

    Args:
        size: n, steps that are looked back at, at least 1.
        theta: θ ≥ 0; 0 counts all of them alike.
        share: λ, from 0 (nothing) to below 1.

    Raises:
        UsageError: a value out of its range.
    """

    size: int
    theta: float = 0.3
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"the cache's size is {self.size}; it must be at least 1")
        if not 0 <= self.theta < float("inf"):
            raise UsageError(f"the cache's theta is {self.theta:g}; it must be in [0, inf)")
        if not 0 <= self.share < 1:
            raise UsageError(f"the cache's share is {self.share:g}; it must be in [0, 1)")


@torch.no_grad()
def measure_cached(model: LanguageModel, tokens: Tensor, cache: Cache) -> NLL:
    """All tokens of a text but the first, each predicted once, with carried state and a cache.

    Args:
        model: in evaluation mode.
        tokens: [N], at least 2.

    Raises:
        DataError: fewer than two tokens.
    """
    n = check_predictions(tokens)
    device = model.embedding.device
    tokens = tokens.to(device)
    state: State | None = None
    kept = model.decoder.new_zeros(0, model.decoder.shape[1])  # h of the steps before, at most `size`
    total = 0.0
    for at in range(0, n, STEPS_AT_ONCE):
        end = min(at + STEPS_AT_ONCE, n)
        output, _, state = model.hidden(tokens[at:end, None], state)
        h, targets = output[:, 0], tokens[at + 1 : end + 1]
        past = torch.cat((kept, h))
        followed = tokens[at - len(kept) + 1 : end + 1]  # the token after each of `past`
        log_p = -token_nll(h, model.decoder, model.output_bias, targets).double()
        log_q = _log_cached(h, past, followed, targets, cache)
        alone = log_q.isnan()  # the first step: there is nothing to look back at
        mixed = torch.logaddexp(log_p + _log(1 - cache.share), log_q + _log(cache.share))
        total -= torch.where(alone, log_p, mixed).sum().item()
        kept = past[-cache.size :]
    return NLL(total, n)


def _log_cached(h: Tensor, past: Tensor, followed: Tensor, targets: Tensor, cache: Cache) -> Tensor:
    """log of the cache's probability of each target, [C] float64; -inf where it has none, NaN where it is empty.

    Args:
        h: [C, H], the last C rows of `past` [P, H]; followed: [P]; targets: [C].
    """
    steps = torch.arange(len(past) - len(h), len(past), device=h.device)[:, None]
    earlier = torch.arange(len(past), device=h.device)
    outside = (earlier >= steps) | (earlier < steps - cache.size)
    scores = (cache.theta * (h @ past.t())).double().masked_fill(outside, -torch.inf)
    same = followed == targets[:, None]
    return scores.masked_fill(~same, -torch.inf).logsumexp(1) - scores.logsumexp(1)


def _log(share: float) -> Tensor:
    return torch.tensor(share, dtype=torch.float64).log()
