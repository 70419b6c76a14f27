"""The weights of one layer in one direction, and what a run over a sequence returns."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """The parameters of one layer in one direction; G gates, H units, I inputs, P = H without a projection.

    Shape: w_ih [G*H, I], w_hh [G*H, P], b_ih and b_hh [G*H] or None (both or neither), w_hr [P, H] or None.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None

    @classmethod
    def from_tensors(cls, tensors: Sequence[Tensor]) -> "Weights":
        """The inverse of `tensors`: w_ih, w_hh[, b_ih, b_hh][, w_hr]."""
        w_ih, w_hh, *rest = tensors
        b_ih, b_hh = rest[:2] if len(rest) >= 2 else (None, None)
        return cls(w_ih, w_hh, b_ih, b_hh, rest[-1] if len(rest) % 2 else None)

    @property
    def hidden_size(self) -> int:
        """H, from the projection or from the recurrent weight."""
        return (self.w_hh if self.w_hr is None else self.w_hr).shape[1]

    def tensors(self) -> list[Tensor]:
        """The parameters that exist, in order: the flat list that torch's own functions take."""
        return [w for w in self if w is not None]

    def to(self, dtype: torch.dtype) -> "Weights":
        w_ih, w_hh, *rest = self
        return Weights(w_ih.to(dtype), w_hh.to(dtype), *(None if w is None else w.to(dtype) for w in rest))


class Result(NamedTuple):
    """A run over a sequence.

    Shape: h_seq [T, B, P], h_n [B, P]; c_seq [T, B, H] and c_n [B, H], None for cells without a cell state.
    """

    h_seq: Tensor
    c_seq: Tensor | None
    h_n: Tensor
    c_n: Tensor | None
