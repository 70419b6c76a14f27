"""What every way of measuring the length of a memory returns."""

import math
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Way = Literal["gates", "gradient", "truncation"]


@dataclass(frozen=True, eq=False)
class EffectiveLength:
    """How many steps a memory reaches back, with the curve that it was read off.

    Attributes:
        by: "gates", "gradient" or "truncation".
        steps: the length. By gates a real number that may lie beyond the sequence, inf where what is kept never falls
            below `level`; by gradient and by truncation a whole number of last steps, T at the most.
        lags: [K] int64, in steps: 0, 1, … by gates and by gradient, lag 0 being the last step; by truncation how many
            last steps were fed.
        curve: [K] float64. By gates the share of a write that is left after so many steps, the mean over the units; by
            gradient the share of the gradient that this lag and all smaller ones hold; by truncation the largest
            difference from the full answer, over the rows.
        level: what the curve was compared with.
        units: [H] float64, by gates the length of each unit; else None.
        rows: [B] int64, by truncation the length of each row; else None.
        where: the layer or module, in words.
    """

    by: Way
    steps: float
    lags: Tensor = field(repr=False)
    curve: Tensor = field(repr=False)
    level: float
    units: Tensor | None = field(default=None, repr=False)
    rows: Tensor | None = field(default=None, repr=False)
    where: str = ""

    @property
    def sentence(self) -> str:
        """The length in words."""
        steps = f"{self.steps:,.4g}"
        if self.by == "gates":
            if math.isinf(self.steps):
                return f"{self.where}: what is written never falls below {self.level:.3g} of itself."
            return f"{self.where}: after {steps} steps {self.level:.3g} of what was written is left."
        if self.by == "gradient":
            return f"{self.where}: the last {steps} of {len(self.lags):,} steps hold {self.level:.0%} of the gradient."
        return (
            f"{self.where}: from the last {steps} of {int(self.lags[-1]):,} steps on, the answer stays within "
            f"{self.level:.3g} of the full one."
        )
