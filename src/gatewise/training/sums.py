"""A loss as a sum and a count, so that parts add up to the whole: never a mean of means."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Sum:
    """The loss of a batch, or of the part of it that one process holds.

    Args:
        total: the sum of the examples' (or tokens') losses, a scalar with a gradient.
        count: how many were summed, or the sum of their weights; at least 0.
        shown: what is reported and logged in place of the total, where that holds penalties too.
    """

    total: Tensor
    count: float
    shown: Tensor | None = None
