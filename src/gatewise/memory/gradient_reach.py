"""How far back the gradient of a layer reaches, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from gatewise.errors import UsageError
from gatewise.markdown import markdown_table
from gatewise.memory.places import Placed

if TYPE_CHECKING:
    from gatewise.memory.flow import LayerFlow, Profile

VANISHED = 0.01
"""The gradient has vanished where less than this share of it is left."""
EXPLODED = 100.0
"""The gradient explodes where it grows to more than so many times its size."""

Verdict = Literal["reaches all steps", "vanishes", "explodes", "is not finite", "is zero"]


@dataclass(frozen=True)
class GradientReach(Placed):
    """How the size G(k) of a gradient by lag k (`LayerFlow.profile`) goes on, from the last step to the first.

    Attributes:
        path, layer, direction, cell: as in `LayerTrace`.
        of: which gradient: "h", "c" or "highway".
        steps: T, of the longest row.
        reach: how many steps back it reaches: the first lag at which G is below `vanished` times the largest G at a
            smaller lag; T where there is none.
        left: G at the first step over the largest G, in [0, 1].
        growth: the largest G over the G of the last step that has any; 1 where it only falls, inf beyond all bounds.
        vanished, exploded: the limits of `verdict`.
        verdict: "explodes" where growth is above `exploded`, else "vanishes" where reach is below T, else "reaches all
            steps"; "is not finite" where a G is NaN or infinite, "is zero" where no G is above 0 or there is no step.
    """

    path: str
    layer: int
    direction: Literal["forward", "reverse"]
    cell: str
    of: Profile
    steps: int
    reach: int
    left: float
    growth: float
    vanished: float
    exploded: float
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """In words: "encoder, layer 0: the gradient of c reaches 12 of 400 steps back: it falls to 1 % after …"."""
        name = "highway's gradient" if self.of == "highway" else f"gradient of {self.of}"
        subject, share = f"{self.label}: the {name}", f"{100 * self.vanished:g} %"
        if self.verdict == "is zero":
            return f"{subject} is zero at all {self.steps:,} steps."
        if self.verdict == "is not finite":
            return f"{subject} is not finite from {self.reach:,} steps back on."
        if self.verdict == "explodes":
            return f"{subject} explodes: it grows to {self.growth:,.3g} times its size on its way back."
        if self.verdict == "vanishes":
            return (
                f"{subject} reaches {self.reach:,} of {self.steps:,} steps back: it falls to {share} after "
                f"{self.reach:,} steps."
            )
        return f"{subject} reaches all {self.steps:,} steps back: {100 * self.left:.2g} % of it is left at the first."


def gradient_reach(
    lf: LayerFlow, of: Profile | None = None, *, vanished: float = VANISHED, exploded: float = EXPLODED
) -> GradientReach:
    """How far back the gradient of a layer reaches, and whether it vanishes or explodes.

    It says how far the layer carries a gradient only where none comes in on the way: take the flow with `reads="last"`,
    or a loss that reads the last step alone.

    Args:
        lf: one layer of what `gradient_flow` returned.
        of: which gradient, as in `LayerFlow.profile`; None: "c" of an LSTM, "h" of the others.
        vanished: the share below which it has vanished, above 0 and below 1.
        exploded: how many times its size it grows to before it explodes, above 1.

    Raises:
        UsageError: a limit out of its range; a gradient that the cell does not have.
    """
    check_limits(vanished, exploded)
    of = of or ("h" if lf.dc is None else "c")
    sizes = lf.profile(of)[: lf.longest].tolist()
    reach, left, growth, verdict = _followed(sizes, vanished, exploded)
    return GradientReach(
        lf.path,
        lf.layer,
        lf.direction,
        lf.cell,
        of,
        len(sizes),
        reach,
        left,
        growth,
        vanished,
        exploded,
        verdict,
    )


def check_limits(vanished: float, exploded: float) -> None:
    """Raise a UsageError where a limit is out of its range."""
    if not 0 < vanished < 1:
        raise UsageError(f"vanished is {vanished!r}; it is a share above 0 and below 1")
    if not exploded > 1:
        raise UsageError(f"exploded is {exploded!r}; it is a number above 1")


def _followed(sizes: list[float], vanished: float, exploded: float) -> tuple[int, float, float, Verdict]:
    """Reach, what is left, growth and verdict of the sizes of a gradient by lag."""
    broken = next((lag for lag, size in enumerate(sizes) if not math.isfinite(size)), None)
    if broken is not None:
        return broken, math.nan, math.inf, "is not finite"
    start = next((size for size in sizes if size > 0), 0.0)
    if not start:
        return 0, 0.0, 1.0, "is zero"
    largest = max(sizes)
    growth, left = largest / start, sizes[-1] / largest
    reach = _first_below(sizes, vanished)
    if growth > exploded:
        return reach, left, growth, "explodes"
    return reach, left, growth, "vanishes" if reach < len(sizes) else "reaches all steps"


def _first_below(sizes: list[float], share: float) -> int:
    largest = 0.0
    for lag, size in enumerate(sizes):
        if size < share * largest:
            return lag
        largest = max(largest, size)
    return len(sizes)


def shown_lags(steps: int) -> list[int]:
    """The lags that a table shows of so many steps: 0, 1, 2, 5, 10, 20, … and the first step's."""
    fixed = [0, *(k * 10**n for n in range(len(str(max(steps, 1)))) for k in (1, 2, 5))]
    return [lag for lag in fixed if lag < steps - 1] + [steps - 1] * (steps > 0)


def flow_table(named: Sequence[tuple[str, LayerFlow]], lags: Sequence[int] | None) -> str:
    """A Markdown table: a row a layer and gradient, a column a lag."""
    longest = max((lf.longest for _, lf in named), default=0)
    chosen = shown_lags(longest) if lags is None else list(lags)
    for lag in chosen:
        if not 0 <= lag < longest:
            raise UsageError(f"lag {lag} is asked for; the longest row has the lags 0 to {longest - 1}")
    head = ["layer", "gradient", *(f"lag {lag:,}" for lag in chosen), f"{100 * VANISHED:g} % after"]
    rows = [
        [name, title, *(_cell(sizes, lag) for lag in chosen), _after(lf, of)]
        for name, lf in named
        for of, title in _titles(lf)
        for sizes in (lf.profile(of),)
    ]
    return markdown_table(head, rows, left=2)


def _titles(lf: LayerFlow) -> Iterator[tuple[Profile, str]]:
    yield "h", "dL/dh"
    if lf.dc is not None:
        yield "c", "dL/dc"
    if lf.highway is not None:
        yield "highway", f"highway of dL/d{'h' if lf.dc is None else 'c'}"


def _cell(sizes: Tensor, lag: int) -> str:
    size = float(sizes[lag]) if lag < len(sizes) else math.nan
    return "" if math.isnan(size) else f"{size:.2e}"


def _after(lf: LayerFlow, of: Profile) -> str:
    found = gradient_reach(lf, of)
    return (
        f"{found.reach:,} steps"
        if 0 < found.reach < found.steps and found.verdict != "is not finite"
        else "-"
    )
