"""A row of the table: what was measured of it, shape by shape, and whether it keeps its bar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.kernels.figures import Figure, geometric_mean
from benchmarks.kernels.plan import bars
from benchmarks.measure import Times

Over = Callable[[Sequence[Times]], Figure]
"""How the times of several samples become one figure."""


class NoFigureError(Exception):
    """A row cannot be measured here; the message says why."""


class WrongError(Exception):
    """Two runs that should agree do not; no figure of them is worth printing."""


@dataclass(frozen=True)
class Sample:
    """The interleaved pairs of one shape.

    Attributes:
        name: the shape, or what else was varied.
        times: seconds of the peer and of ours (or of the work and of the plain work).
        notes: what else is known of it.
    """

    name: str
    times: Times
    notes: dict[str, Any] = field(default_factory=dict)

    def entries(self, over: Over) -> dict[str, Any]:
        """As the results hold it: figure, medians in milliseconds, number of pairs, notes."""
        first, second = (float(ms) for ms in np.median(self.times, axis=0) * 1e3)
        times = {"first_ms": first, "second_ms": second, "pairs": len(self.times)}
        return {"name": self.name, **over([self.times])._asdict(), **times, **self.notes}


@dataclass(frozen=True)
class Row:
    """A row as the results hold it.

    Attributes:
        name: of shapes.toml.
        figure: what came out, None when nothing was measured.
        reason: why there is no figure.
        met: whether the bar is kept; None without a bar, or where the row cannot be measured.
        aim_met: the same of the aim.
        samples: entries of each shape.
        notes: what else is known of the row.
    """

    name: str
    figure: Figure | None
    reason: str = ""
    met: bool | None = None
    aim_met: bool | None = None
    samples: Sequence[dict[str, Any]] = ()
    notes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = {None: "", True: "  bar met", False: "  BAR MISSED"}[self.met]
        what = self.reason if self.figure is None else f"{self.figure}{verdict}"
        details = [
            f"    {s['name']:24} {s['first_ms']:9.3f} ms {s['second_ms']:9.3f} ms  "
            f"{Figure(s['value'], s['low'], s['high'])}  {s['pairs']} pairs"
            for s in self.samples
        ]
        return "\n".join([f"{self.name:26} {what}", *details])


def judged(
    name: str, figure: Figure, samples: Sequence[dict[str, Any]] = (), notes: dict[str, Any] | None = None
) -> Row:
    """A figure held against its row's bar."""
    bar = bars()[name]
    held = figure.low if bar.judged == "low" else figure.value
    met, aim_met = (None if b is None else bar.keeps(held, b) for b in (bar.bound, bar.aim))
    return Row(name, figure, "", met, aim_met, samples, notes or {})


def row(name: str, measure: Callable[[], Sequence[Sample]], over: Over = geometric_mean) -> Row:
    """The figure over what `measure` gives, or why there is none."""
    try:
        samples = measure()
    except NoFigureError as reason:
        return Row(name, None, str(reason))
    except WrongError as reason:
        return Row(name, None, f"wrong: {reason}", met=False)
    return judged(name, over([s.times for s in samples]), [s.entries(over) for s in samples])
