"""Averages of a model's weights over the steps of a training, each in a copy of the model."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from gatewise.training.options import LoopOptions


class Average(Protocol):
    """What the loop asks of an average of weights.

    Attributes:
        model: a copy of the trained model that holds the average.
        count: how many weights it has taken in.
    """

    model: nn.Module
    count: int

    @property
    def ready(self) -> bool:
        """Whether `model` may stand for the trained one."""
        ...

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step `step` (from 1)."""
        ...

    def look(self, history: Sequence[Mapping[str, float]]) -> None:
        """See the rows of all validations so far, after each of them and when a training is resumed."""
        ...


class Moving:
    """An exponential moving average, `avg ← d·avg + (1-d)·w`, from the first weights on.

    d grows towards `decay` as (1 + k) / (10 + k) over the steps k, so that the first weights fade quickly.

    Args:
        every: steps between two updates, each with d to that power: the average of a large embedding costs as
            much as a step of the optimiser.
    """

    ready = True

    def __init__(self, model: nn.Module, decay: float, every: int = 1):
        self.model = copy.deepcopy(model)
        self.decay, self.every = decay, every
        self.count = 0

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        if step % self.every == 0:
            self.count += 1
            share = 1 - min(self.decay, (1 + step) / (10 + step)) ** self.every
            for mine, weight in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.lerp_(weight, share)

    def look(self, history: Sequence[Mapping[str, float]]) -> None: ...


class Equal:
    """The plain mean of the weights after every `every`-th step beyond step `start`.

    With `every` = 1 it is averaged SGD (Polyak & Juditsky 1992); with one an epoch it is stochastic weight averaging
    (Izmailov et al. 2018), here over the steps of AdamW.
    """

    def __init__(self, model: nn.Module, start: float, every: int):
        self.model = copy.deepcopy(model)
        self.start, self.every = start, every
        self.count = 0

    @property
    def ready(self) -> bool:
        return self.count > 0

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        if step > self.start and step % self.every == 0:
            self.count += 1
            for mine, weight in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.lerp_(weight, 1 / self.count)

    def look(self, history: Sequence[Mapping[str, float]]) -> None: ...


class Triggered(Equal):
    """The plain mean of the weights after every step, from the validation on that shows no more progress.

    That is the first one whose loss is higher than the lowest of those that lie more than `patience` validations back:
    the non-monotonic trigger of NT-ASGD (Merity et al. 2018, algorithm 1).
    """

    def __init__(self, model: nn.Module, patience: int):
        super().__init__(model, math.inf, every=1)
        self.patience = patience

    def look(self, history: Sequence[Mapping[str, float]]) -> None:
        rows = [row for row in history if "validation_loss" in row]
        losses = [row["validation_loss"] for row in rows]
        for k in range(self.patience + 1, len(losses)):
            if losses[k] > min(losses[: k - self.patience]):
                self.start = rows[k]["step"]
                return


def make_average(model: nn.Module, options: LoopOptions, steps: int) -> Average | None:
    """The average that the options ask for, or None.

    Args:
        steps: of the whole training, `options.epochs` epochs of the same length.
    """
    start = int(options.average_from * steps)
    if options.average == "ema" and options.ema:
        return Moving(model, options.ema, every=4 if steps >= 1000 else 1)
    if options.average == "swa":
        return Equal(model, start, every=steps // options.epochs)
    if options.average == "asgd":
        return Equal(model, start, every=1)
    if options.average == "nt-asgd":
        return Triggered(model, options.patience_of_average)
    return None
