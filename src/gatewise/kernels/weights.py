"""The weights of one layer in one direction, and what a run over a sequence returns."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.cells import Variant


class Weights(NamedTuple):
    """The parameters of one layer in one direction; G gates, H units, I inputs, P = H without a projection.

    Shape: w_ih [G*H, I], w_hh [G*H, P], b_ih and b_hh [G*H] or None (both or neither), w_hr [P, H] or None. Of an
    LSTM's variants, else None: peephole [3H] (i, f, o) or with coupled gates [2H] (f, o); norm_ih and norm_hh [G*H],
    norm_c and norm_c_bias [H].
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None
    peephole: Tensor | None = None
    norm_ih: Tensor | None = None
    norm_hh: Tensor | None = None
    norm_c: Tensor | None = None
    norm_c_bias: Tensor | None = None

    @classmethod
    def from_tensors(cls, tensors: Sequence[Tensor], variant: Variant) -> "Weights":
        """The inverse of `tensors`: what the list holds follows from its length and the layer's variant.

        Beside w_ih and w_hh there are what the variant asks for, biases or none, and a projection or none.
        """
        biases = 3 if variant.layer_norm else 2  # the read has one too
        others = len(tensors) - 2 - variant.peephole - 3 * variant.layer_norm
        has_biases = others >= biases
        has_projection = others == 1 + biases * has_biases
        exists = (
            *[True] * 2, *[has_biases] * 2, has_projection,
            variant.peephole, *[variant.layer_norm] * 3, variant.layer_norm and has_biases,
        )  # fmt: skip
        rest = iter(tensors)
        return cls.from_all([next(rest) if there else None for there in exists])

    @classmethod
    def from_all(cls, entries: Sequence[Tensor | None]) -> "Weights":
        """From every field in order, None where there is no such parameter."""
        w_ih, w_hh, *rest = entries
        assert w_ih is not None and w_hh is not None
        return cls(w_ih, w_hh, *rest)

    @property
    def hidden_size(self) -> int:
        """H, from the projection or from the recurrent weight."""
        return (self.w_hh if self.w_hr is None else self.w_hr).shape[1]

    def tensors(self) -> list[Tensor]:
        """The parameters that exist, in order: the flat list that torch's own functions and our operator take."""
        return [w for w in self if w is not None]

    def replaced(self, tensors: Sequence[Tensor]) -> "Weights":
        """These `tensors`, in the order of `tensors()`, in place of the parameters that exist."""
        rest = iter(tensors)
        return Weights.from_all([None if w is None else next(rest) for w in self])

    def to(self, dtype: torch.dtype) -> "Weights":
        return self.replaced([w.to(dtype) for w in self.tensors()])


class Result(NamedTuple):
    """A run over a sequence.

    Shape: h_seq [T, B, P], h_n [B, P]; c_seq [T, B, H] and c_n [B, H], None for cells without a cell state; gates
    [T, B, G*H] or None, activated, in the row order of the weights, zero beyond the lengths.
    """

    h_seq: Tensor
    c_seq: Tensor | None
    h_n: Tensor
    c_n: Tensor | None
    gates: Tensor | None = None
