"""Layer normalisation inside an LSTM.

Source: Ba, Kiros & Hinton 2016, "Layer normalization", equations 20 to 22. As there, the raw c is carried on and only
what is read of it is normalised, so c_t stays a sum of what the steps wrote.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5  # added to the variance


class Norms(NamedTuple):
    """The learned scales of a normalised LSTM. Shape: ih, hh [G*H]; c [H]; c_bias [H] or None."""

    ih: Tensor
    hh: Tensor
    c: Tensor
    c_bias: Tensor | None = None


def layer_norm(values: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """`scale ⊙ (v - mean v) / √(var v + 1e-5) + bias` over the last dimension of values [B, N]; biased variance."""
    return F.layer_norm(values, scale.shape, scale, bias, EPSILON)
