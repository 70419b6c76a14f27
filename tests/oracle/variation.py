"""What a cell may have beyond the plain one, and what that means for a step."""

from typing import NamedTuple

import numpy as np

from oracle import masks
from oracle.parameters import Array


class Variation(NamedTuple):
    """The variants of a cell; `dropout` is the recurrent one, on "h", "g" or the "weights"."""

    layer_norm: bool = False
    peephole: bool = False
    coupled: bool = False
    zoneout: tuple[float, float] = (0.0, 0.0)
    dropout: float = 0.0
    dropout_on: str = "h"


PLAIN = Variation()


class Step(NamedTuple):
    """A step's variants and masks: factors of h and of g, and how much of the old c and h it keeps."""

    variation: Variation = PLAIN
    drop_h: Array | float = 1.0
    drop_g: Array | float = 1.0
    keep_c: Array | float = 0.0
    keep_h: Array | float = 0.0


def step_of(variation: Variation, seed: int | None, t: int, rows: Array, P: int, H: int) -> Step:
    """The step at t of the rows that run; without a seed, as in eval."""
    p_c, p_h = variation.zoneout
    if seed is None:
        return Step(variation, keep_c=p_c, keep_h=p_h)
    p, on = variation.dropout, variation.dropout_on
    return Step(
        variation,
        drop_h=masks.dropout(p, seed, masks.DROPOUT_H, 0, rows, P) if p and on == "h" else 1.0,
        drop_g=masks.dropout(p, seed, masks.DROPOUT_G, t, rows, H) if p and on == "g" else 1.0,
        keep_c=masks.happens(p_c, seed, masks.ZONEOUT_C, t, rows, H) if p_c else 0.0,
        keep_h=masks.happens(p_h, seed, masks.ZONEOUT_H, t, rows, P) if p_h else 0.0,
    )


def dropped_weights(variation: Variation, seed: int | None, shape: tuple[int, ...]) -> Array | float:
    """The factors of w_hh."""
    if seed is None or not variation.dropout or variation.dropout_on != "weights":
        return 1.0
    return masks.dropout(variation.dropout, seed, masks.WEIGHTS, 0, np.arange(shape[0]), shape[1])
