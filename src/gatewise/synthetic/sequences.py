"""What the synthetic tasks hand out: padded sequences, their lengths, and what is asked at their end."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sequences(NamedTuple):
    """Some sequences side by side.

    Attributes:
        x: inputs, [T, B, I] float32; zeros beyond a sequence's end.
        lengths: steps of each, [B] int64, each from 1 to T.
        targets: what is asked: classes [B] int64 or values [B] float32 at the last step, or [K, B] at the last K steps.
    """

    x: Tensor
    lengths: Tensor
    targets: Tensor


def pad(x: Tensor, lengths: Tensor) -> Tensor:
    """x [T, B, I] with zeros beyond each length."""
    inside = torch.arange(len(x))[:, None] < lengths  # [T, B]
    return x * inside[:, :, None]
