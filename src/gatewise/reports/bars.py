"""Bars of a page: probabilities beside each other, counts by half-life, shades of the confusion table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.reports.captions import count, share
from gatewise.reports.page import Check, Floats, Page, Quality


@dataclass(frozen=True)
class Track:
    """A horizontal bar from 0 to 100; draws: the single values, where it stands for many."""

    name: str
    value: float
    text: str
    is_main: bool = False
    draws: Sequence[float] = ()


def check_tracks(page: Page, check: Check) -> list[Track]:
    """The probability with everything, without what was kept, without as many at random, and with it only."""
    those = f"the {check.kept:,} kept"
    found = (
        [] if page.answer is None else [_track(f"all {page.unit}s", page.answer.probability, is_main=True)]
    )
    if check.kept == 0:
        return found
    found.append(_track(f"without {those}", check.without, is_main=True))
    drawn = [value for value in check.random if math.isfinite(value)]
    if drawn:
        mean = sum(drawn) / len(drawn)
        found.append(
            Track(
                name=f"without {count(check.kept, 'random ' + page.unit)}",
                value=100 * mean,
                text=f"{share(mean)} ({share(min(drawn))} to {share(max(drawn))})",
                draws=[100 * value for value in drawn],
            )
        )
    return [*found, _track(f"{those} only", check.only, is_main=True)]


def baseline_tracks(quality: Quality) -> list[Track]:
    """This model's accuracy, where it is among the figures, above that of simpler models."""
    own = next((value for name, value in quality.figures if name.lower() == "accuracy"), None)
    found = (
        []
        if own is None or _number(own) is None
        else [_track("this model", _number(own) or 0.0, is_main=True)]
    )
    return found + [_track(name, accuracy) for name, accuracy in quality.baselines]


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def _track(name: str, value: float, *, is_main: bool = False) -> Track:
    return Track(
        name, 100 * min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0, share(value), is_main
    )


def confusion_rows(quality: Quality) -> list[tuple[str, list[tuple[int, int]]]]:
    """For each true label the counts, each with a level of shade from 0 to 5 by its share of the row."""
    return [
        (label, [(number, round(5 * number / (sum(counts) or 1))) for number in counts])
        for label, counts in zip(quality.labels, quality.confusion, strict=True)
    ]


@dataclass(frozen=True)
class Bar:
    """One bin of a histogram: its range, its two counts, and their heights as shares of the largest."""

    label: str
    after: int
    before: int | None
    after_height: float
    before_height: float


def half_life_bars(after: Floats, before: Floats | None) -> list[Bar]:
    """Units by half-life, in bins that double: under 1 step, 1 to 2, 2 to 4, and so on."""
    known = after[~np.isnan(after)]
    if not len(known):
        return []
    earlier = None if before is None else before[~np.isnan(before)]
    both = known if earlier is None else np.concatenate([known, earlier])
    finite = both[np.isfinite(both) & (both > 0)]
    bins = max(1, min(12, math.ceil(math.log2(max(float(finite.max()), 1.0) if len(finite) else 1.0)) + 1))
    edges = [0.0, *(2.0**k for k in range(bins)), math.inf]
    counts = _in_bins(known, edges)
    counts_before = None if earlier is None else _in_bins(earlier, edges)
    most = max(max(counts), max(counts_before or [0]), 1)
    return [
        Bar(
            label="under 1"
            if k == 0
            else f"{edges[k]:g} to {edges[k + 1]:g}"
            if k < bins
            else f"{edges[k]:g} and more",
            after=counts[k],
            before=None if counts_before is None else counts_before[k],
            after_height=counts[k] / most,
            before_height=0.0 if counts_before is None else counts_before[k] / most,
        )
        for k in range(bins + 1)
    ]


def _in_bins(values: Floats, edges: Sequence[float]) -> list[int]:
    which = np.searchsorted(np.asarray(edges[1:-1]), values, side="right")
    return [int(number) for number in np.bincount(which, minlength=len(edges) - 1)]
