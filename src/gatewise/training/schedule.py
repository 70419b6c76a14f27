"""How the learning rate goes over the steps, and a moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


def schedule(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate at a step (from 0): linear warm-up times a linear decay to 0 after `steps`.

    The warm-up takes at most a fifth of all steps, so that a short training reaches its rate.
    """
    warmup = min(warmup, steps // 5)
    return min(1.0, (step + 1) / max(warmup, 1)) * (1 - step / steps)


class Average:
    """An exponential moving average of a model's weights, `avg ← d·avg + (1-d)·w`, in a copy of the model.

    d grows towards `decay` as (1 + k) / (10 + k) over the steps k, so that the first weights fade quickly.

    Args:
        every: steps between two updates, each with d to that power: the average of a large embedding costs as
            much as a step of the optimiser.
    """

    def __init__(self, model: nn.Module, decay: float, every: int = 1):
        self.model = copy.deepcopy(model)
        self.decay, self.every = decay, every

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step `step` (from 1); acts on every `every`-th."""
        if step % self.every == 0:
            share = 1 - min(self.decay, (1 + step) / (10 + step)) ** self.every
            for mine, weight in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.lerp_(weight, share)
