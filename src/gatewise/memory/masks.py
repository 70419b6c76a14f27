"""Which units zoneout kept in training, at every step of a pass."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.cells import Variant
from gatewise.kernels.random_bits import Stream, events


class Masks(NamedTuple):
    """True where a unit kept its old value. Shape: c [T, B, H], h [T, B, P], bool; None without zoneout on it."""

    c: Tensor | None
    h: Tensor | None


@dataclass(frozen=True, eq=False)
class DrawnMasks:
    """The same, drawn again from the seed of the pass when first read: in Python that takes longer than the pass.

    Attributes:
        variant: of the pass.
        seed: of the pass.
        like_c, like_h: tensors in the shapes of the masks, on their device; like_c is None without a cell state.
        rows: [B], which row of the pass each row of the masks is; None: the same.
    """

    variant: Variant
    seed: Tensor
    like_c: Tensor | None
    like_h: Tensor
    rows: Tensor | None = None

    @cached_property
    def c(self) -> Tensor | None:
        return self._draw(self.variant.zoneout[0], Stream.ZONEOUT_C, self.like_c)

    @cached_property
    def h(self) -> Tensor | None:
        return self._draw(self.variant.zoneout[1], Stream.ZONEOUT_H, self.like_h)

    def _draw(self, p: float, stream: Stream, like: Tensor | None) -> Tensor | None:
        if not p or like is None:
            return None
        masks = torch.empty(like.shape, dtype=torch.bool, device=like.device)
        for t, mask in enumerate(masks):
            mask.copy_(events(p, self.seed, stream, t, *mask.shape, device=like.device))
        return masks if self.rows is None else masks.index_select(1, self.rows)
