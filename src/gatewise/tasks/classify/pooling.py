"""What the answer reads of the hidden states: pooled = Σ_t a_t ⊙ h_t, in four ways.

Each pooling states its weights a; `forward` computes the same sum in its own fastest way. An empty sequence
pools to zero. States beyond a length are never read, whatever they hold.

Shapes: h [T, B, D·H], lengths [B] int64; weights [T, B] or, where units differ, [T, B, D·H].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def valid(h: Tensor, lengths: Tensor) -> Tensor:
    """True at the steps within each length; [T, B]."""
    return torch.arange(h.shape[0], device=h.device)[:, None] < lengths


class LastPooling(nn.Module):
    """The state at the last step; for the reverse direction the state at the first, where that reader ends.

    Args:
        directions: 1, or 2 when the second half of h's units read backward.
    """

    def __init__(self, directions: int = 1):
        super().__init__()
        self.directions = directions

    def forward(self, h: Tensor, lengths: Tensor) -> Tensor:
        if h.shape[0] == 0:
            return h.new_zeros(h.shape[1:])
        at_end = h[(lengths - 1).clamp(min=0), torch.arange(h.shape[1], device=h.device)]  # [B, D·H]
        if self.directions == 2:
            half = h.shape[2] // 2
            at_end = torch.cat([at_end[:, :half], h[0, :, half:]], 1)
        return torch.where((lengths > 0)[:, None], at_end, 0.0)

    def weights(self, h: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(h.shape[0], device=h.device)[:, None]
        last = (steps == lengths - 1).to(h.dtype)  # [T, B]
        if self.directions == 1:
            return last
        first = ((steps == 0) & (lengths > 0)).to(h.dtype)  # [T, B]
        return torch.stack([last, first], 2).repeat_interleave(h.shape[2] // 2, 2)


class MeanPooling(nn.Module):
    """The mean over the valid steps."""

    def forward(self, h: Tensor, lengths: Tensor) -> Tensor:
        return torch.where(valid(h, lengths)[..., None], h, 0.0).sum(0) / lengths.clamp(min=1)[:, None]

    def weights(self, h: Tensor, lengths: Tensor) -> Tensor:
        return valid(h, lengths).to(h.dtype) / lengths.clamp(min=1)


class MaxPooling(nn.Module):
    """Each unit's largest value over the valid steps (Collobert & Weston 2008)."""

    def forward(self, h: Tensor, lengths: Tensor) -> Tensor:
        if h.shape[0] == 0:
            return h.new_zeros(h.shape[1:])
        largest = h.masked_fill(~valid(h, lengths)[..., None], -torch.inf).max(0).values  # [B, D·H]
        return torch.where((lengths > 0)[:, None], largest, 0.0)

    def weights(self, h: Tensor, lengths: Tensor) -> Tensor:
        if h.shape[0] == 0:
            return torch.zeros_like(h)
        inside = valid(h, lengths)[..., None]
        at = h.masked_fill(~inside, -torch.inf).max(0, keepdim=True).indices  # [1, B, D·H]
        return torch.zeros_like(h).scatter_(0, at, 1.0) * inside


class AttentionPooling(nn.Module):
    """A softmax over the valid steps of one linear score a state (after Lin et al. 2017: one hop)."""

    def __init__(self, size: int):
        super().__init__()
        self.score = nn.Linear(size, 1)

    def forward(self, h: Tensor, lengths: Tensor) -> Tensor:
        return (self.weights(h, lengths)[..., None] * torch.where(valid(h, lengths)[..., None], h, 0.0)).sum(
            0
        )

    def weights(self, h: Tensor, lengths: Tensor) -> Tensor:
        inside = valid(h, lengths)
        scores = self.score(h)[..., 0].masked_fill(~inside, torch.finfo(h.dtype).min)  # [T, B]
        return torch.where(inside, scores.softmax(0), 0.0)


Pooling = LastPooling | MeanPooling | MaxPooling | AttentionPooling
POOLINGS: dict[str, Callable[[int, int], Pooling]] = {
    "last": lambda size, directions: LastPooling(directions),
    "mean": lambda size, directions: MeanPooling(),
    "max": lambda size, directions: MaxPooling(),
    "attention": lambda size, directions: AttentionPooling(size),
}
