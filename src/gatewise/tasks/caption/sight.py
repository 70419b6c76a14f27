"""A small convolutional network that is trained along: pictures to a grid of cells, each of one place."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

GROUPS = 8


class SmallSight(nn.Module):
    """Four convolutions with stride 2, each with group normalisation (which knows no batch), and one without.

    Args:
        channels: C, features of a cell; the first two convolutions have C/4 and C/2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        sizes = [3, channels // 4, channels // 2, channels, channels]
        blocks = [_block(inside, outside, stride=2) for inside, outside in pairwise(sizes)]
        self.blocks = nn.Sequential(*blocks, _block(channels, channels, stride=1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, S, S], around 0, to cells [N, C, S/16, S/16]."""
        return self.blocks(pictures)


def as_numbers(pictures: Tensor) -> Tensor:
    """Bytes [N, 3, S, S] as float32 from -2 to 2."""
    return pictures.float().sub_(127.5).div_(63.75)


def augmented(pictures: Tensor, counts: Tensor, amount: float, flip: bool) -> Tensor:
    """Pictures that are shifted, zoomed and lightened by chance; all frames of a clip alike.

    Args:
        pictures: [N, 3, S, S] around 0, the frames of one clip after those of another.
        counts: how many each clip has, [B] int64; they sum to N.
        amount: of a side at most for the shift, of the size for the zoom, of the range for the brightness.
        flip: mirror one in two.
    """
    B = len(counts)
    drawn = 2 * torch.rand(4, B, device=pictures.device) - 1  # x, y, zoom, brightness
    mirror = (
        torch.where(torch.rand(B, device=pictures.device) < 0.5, -1.0, 1.0)
        if flip
        else torch.ones_like(drawn[0])
    )
    zoom = 1 + amount * drawn[2]
    nothing = torch.zeros_like(zoom)
    placed = torch.stack(
        (
            torch.stack((zoom * mirror, nothing, 2 * amount * drawn[0]), 1),
            torch.stack((nothing, zoom, 2 * amount * drawn[1]), 1),
        ),
        1,
    )  # [B, 2, 3]
    grid = affine_grid(placed.repeat_interleave(counts, 0), list(pictures.shape), align_corners=False)
    moved = grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return moved + (4 * amount * drawn[3]).repeat_interleave(counts)[:, None, None, None]


def _block(inside: int, outside: int, *, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False),
        nn.GroupNorm(min(GROUPS, outside // 8), outside),
        nn.ReLU(),
    )
