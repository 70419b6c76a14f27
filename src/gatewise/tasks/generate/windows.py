"""Streams read in windows whose lengths are drawn anew for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatewise.training.carried import TokenStreams, Window

SHORT_SHARE, SPREAD, LEAST = 0.05, 5.0, 5
"""A window is half as long with this probability; the standard deviation and the least of its length."""


@dataclass(frozen=True)
class RatedWindow(Window):
    """A window whose step is done with a share of the learning rate."""

    rate: float = 1.0

    def shard(self, rank: int, world: int) -> RatedWindow:
        return RatedWindow(self.inputs[:, rank::world], self.targets[:, rank::world], self.rate)


class RandomStreams(Sequence[RatedWindow]):
    """As `TokenStreams`, in windows of random lengths: about `steps`, and half of it once in 20.

    Lengths are drawn from N(steps, 5²), or N(steps / 2, 5²), at least 5 (Merity et al. 2018, section 5); then all are
    stretched by one factor near 1, so that every epoch has the same number of windows. The learning rate of a window is
    in proportion to its length.

    Args:
        tokens, streams, steps: as of `TokenStreams`.
        generator: what the lengths are drawn from.
    """

    def __init__(self, tokens: Tensor, streams: int, steps: int, generator: torch.Generator):
        self.columns = TokenStreams(tokens, streams, steps).columns
        self.steps = steps
        total = len(self.columns) - 1
        mean = steps * (1 - SHORT_SHARE / 2)
        number = max(1, round(total / mean))
        short = torch.rand(number, generator=generator) < SHORT_SHARE
        drawn = torch.randn(number, generator=generator) * SPREAD + torch.where(short, steps / 2, steps)
        lengths = drawn.clamp(min=min(LEAST, steps)).double()
        # One token each, and the rest of them in proportion to what was drawn.
        spare = ((lengths - 1).cumsum(0) * ((total - number) / (lengths - 1).sum().clamp(min=1e-9))).round()
        ends = spare.long() + torch.arange(1, number + 1)
        self.ends = [0, *ends.tolist()]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self.ends[index % len(self)], self.ends[index % len(self) + 1]
        return RatedWindow(
            self.columns[start:end], self.columns[start + 1 : end + 1], (end - start) / self.steps
        )
