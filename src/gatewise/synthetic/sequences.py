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


def inside(steps: int, lengths: Tensor) -> Tensor:
    """Where the steps of sequences are, [steps, B] bool."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths


def shown(symbols: Tensor, kinds: int, lengths: Tensor) -> Tensor:
    """Symbols [T, B] int64 as one-hot [T, B, kinds] float32, zeros beyond each length."""
    ones = inside(len(symbols), lengths)[:, :, None].float()
    return torch.zeros(*symbols.shape, kinds).scatter_(2, symbols[:, :, None], ones)
