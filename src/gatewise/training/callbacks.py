"""What a training calls after each step, for watching it, changing it, or ending it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from gatewise.training.progress import Tick


@dataclass(frozen=True)
class Moment:
    """A training after a step.

    Args:
        row: the figures of a validation that was just made, as in the history; None otherwise.
        model, optimizer: what is trained, and what trains it.
    """

    tick: Tick
    row: Mapping[str, float] | None
    model: nn.Module
    optimizer: Optimizer


Callback = Callable[[Moment], object]
"""Called after each step, before a checkpoint is taken; True ends the training as if it had been planned so.

What a callback keeps for itself is in no checkpoint. With several processes it is called in each of them.
"""
