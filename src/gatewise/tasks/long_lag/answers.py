"""How an answer is judged: its loss, and whether the sequence was right by the paper's criterion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from gatewise.synthetic.reber import predicted
from gatewise.synthetic.sequences import inside

Answer = tuple[Tensor, ...]
"""What a batch holds beside its inputs."""


@dataclass(frozen=True)
class Judged:
    """A batch of answers.

    Args:
        total: the sum of the losses, a scalar with a gradient; `count`: how many were summed.
        error: what the criterion takes as the error of each sequence, [B] float32 without a gradient.
        right: whether each sequence was right, [B] bool.
    """

    total: Tensor
    count: int
    error: Tensor
    right: Tensor


@dataclass(frozen=True)
class ValueAtEnd:
    """One number at the last step: squared error; right with an absolute error below `below`."""

    below: float

    def __call__(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Judged:
        difference = _last(outputs, lengths)[:, 0] - targets
        error = difference.detach().abs()
        return Judged(difference.square().sum(), len(error), error, error < self.below)


@dataclass(frozen=True)
class ClassAtEnd:
    """A class at the last step: cross-entropy; right when no output is off by `below` or more.

    The outputs are the probabilities of the classes, their targets 1 and 0; the error is the largest of them.
    """

    below: float

    def __call__(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Judged:
        logits = _last(outputs, lengths)
        wanted = one_hot(targets, logits.shape[1])
        error = (logits.detach().softmax(1) - wanted).abs().amax(1)
        return Judged(cross_entropy(logits, targets, reduction="sum"), len(error), error, error < self.below)


def classes_at_last_steps(outputs: Tensor, lengths: Tensor, targets: Tensor) -> Judged:
    """A class at each of the last K steps, targets [K, B], all sequences of one length: right when all K are.

    The error is the share of the K that are wrong.
    """
    logits = outputs[-len(targets) :]
    error = (logits.detach().argmax(-1) != targets).float().mean(0)
    total = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return Judged(total, targets.numel(), error, error == 0)


def next_symbols(outputs: Tensor, following: Tensor, legal: Tensor, lengths: Tensor) -> Judged:
    """The following symbol at each step before `lengths`, [T, B]: right when the legal symbols lead at all of them.

    The error is the share of steps at which they do not.
    """
    asked = inside(len(outputs), lengths)  # [T, B]
    wrong = asked & ~predicted(outputs.detach(), legal)
    error = wrong.sum(0) / lengths
    total = cross_entropy(outputs[asked], following[asked], reduction="sum")
    return Judged(total, int(lengths.sum()), error, error == 0)


def _last(outputs: Tensor, lengths: Tensor) -> Tensor:
    """The outputs [T, B, K] at the last step of each sequence, [B, K]."""
    return outputs[lengths - 1, torch.arange(len(lengths), device=lengths.device)]
