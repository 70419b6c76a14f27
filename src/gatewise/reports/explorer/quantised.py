"""Values as one byte each: a page holds millions of them, and a pixel shows no more than 256 shades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.reports.page import Floats

MOST = {True: 127, False: 255}


@dataclass(frozen=True, eq=False)
class Quantised:
    """`numbers · scale`, off by half of `scale` at most.

    Attributes:
        numbers: int8 from -127 to 127 where values can be negative, else uint8; of any shape.
        scale: positive.
    """

    numbers: NDArray[np.int8 | np.uint8]
    scale: float

    @property
    def signed(self) -> bool:
        return self.numbers.dtype == np.int8

    @property
    def error(self) -> float:
        """What a value can be off by, at most."""
        return self.scale / 2

    def values(self) -> Floats:
        """The values as the page has them, float32."""
        return self.numbers.astype(np.float32) * np.float32(self.scale)


def quantised(values: Floats, largest: float | None = None) -> Quantised:
    """Finite values as one byte each, 0 exactly as 0.

    Args:
        values: of any shape; int8 where one of them is negative, else uint8.
        largest: the size that the last byte stands for; None: the largest size among them.
    """
    signed = bool((values < 0).any())
    size = float(np.abs(values).max(initial=0)) if largest is None else largest
    most = MOST[signed]
    scale = size / most if size > 0 else 1.0 / most
    numbers = np.clip(np.rint(values / scale), -most if signed else 0, most)
    return Quantised(numbers.astype(np.int8 if signed else np.uint8), scale)
