"""Random masks that are a function of where they stand: no state, any order, the same in every backend.

Counter-based, as in Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; the mixing functions are the
finalisers of SplitMix64 (Steele, Lea & Flood 2014) and of MurmurHash3 in the constants of Ellis's "lowbias32". One
64-bit key for a seed, a stream, a step and a row; from it 32 bits for every unit. All integers here are int64 tensors
that stand for unsigned numbers: products wrap, and shifts are made logical by a mask.
"""

from enum import IntEnum

import torch
from torch import Tensor

_LOW32 = 0xFFFF_FFFF


class Stream(IntEnum):
    """What a mask is for; two streams of one seed have nothing in common."""

    ZONEOUT_C = 0
    ZONEOUT_H = 1
    DROPOUT_G = 2
    DROPOUT_H = 3  # the same at every step: t = 0
    WEIGHTS = 4  # t = 0; the row is that of w_hh, the unit its column


def _signed(number: int) -> int:
    """The int64 with the low 64 bits of a number."""
    return (number + 2**63) % 2**64 - 2**63


def _shift_right(z: Tensor, places: int) -> Tensor:
    return (z >> places) & ((1 << (64 - places)) - 1)


def _mix64(z: Tensor) -> Tensor:
    z = (z ^ _shift_right(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shift_right(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shift_right(z, 31)


def _mix32(x: Tensor) -> Tensor:
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _LOW32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _LOW32
    return x ^ (x >> 16)


def bits(seed: Tensor, stream: int, t: int, rows: int, units: int, device: torch.device) -> Tensor:
    """32 random bits for every row and unit of a step, as int64 in [0, 2^32): [rows, units]."""
    of_stream = _mix64(seed + _signed((stream + 1) * 0x9E3779B97F4A7C15))  # 0-dimensional
    b, j = torch.arange(rows, device=device), torch.arange(units, device=device)
    key = _mix64(of_stream + _signed(t * 0xD1B54A32D192ED03) + b * _signed(0x8CB92BA72F3D8DD7))[:, None]
    return _mix32(_mix32((j + (key & _LOW32)) & _LOW32) ^ _shift_right(key, 32))


def events(
    p: float, seed: Tensor, stream: int, t: int, rows: int, units: int, device: torch.device
) -> Tensor:
    """True with probability p, to 2^-32: bool [rows, units].

    Args:
        seed: 0-dimensional int64, 0 <= seed < 2^62.
        stream: a `Stream`.
        t: the step, its index in time.
    """
    return bits(seed, stream, t, rows, units, device) < int(p * 2**32)


def scales(p: float, seed: Tensor, stream: int, t: int, like: Tensor) -> Tensor:
    """A mask of dropout in the shape [rows, units] and dtype of `like`: 0 with probability p, else 1 / (1 - p)."""
    dropped = events(p, seed, stream, t, *like.shape, device=like.device)
    return (~dropped).to(like.dtype) * (1 / (1 - p))
