"""Geometry of the line charts of a page, in the units of an SVG view box; the templates only write it down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gatewise.reports.page import Curve, FlowCurve

LABEL_GAP = 17.0
"""Smallest distance between the labels at the ends of two lines."""

LONGEST_NAME = 20
"""Characters of a line's name for which there is room beside it."""

DEEPEST = 1e-12
"""What a logarithmic axis reaches down to, as a share of its largest value."""


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """points: for an SVG polyline; colour: index of a class; label_y: where its name stands, at the right end."""

    name: str
    points: str
    colour: int
    dashed: bool
    label_y: float


@dataclass(frozen=True)
class LineChart:
    """A plot area from (left, top) to (right, bottom) in a view box of width × height."""

    title: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    x_label: str
    lines: Sequence[Line]


def flow_chart(flows: Sequence[FlowCurve], unit: str) -> LineChart | None:
    """Gradient norms over the lag, on a logarithmic axis; None where there is nothing above zero to draw."""
    named = [
        (flow.name if kind == "full" else f"{flow.name}, highway", values, colour, kind == "highway")
        for colour, flow in enumerate(flows)
        for kind, values in (("full", flow.full), ("highway", flow.highway))
        if values is not None
    ]
    positive = [v for _, values, _, _ in named for v in values if v > 0 and math.isfinite(v)]
    longest = max((len(values) for _, values, _, _ in named), default=0)
    if not positive or longest < 2:
        return None
    high = math.ceil(math.log10(max(positive)) - 1e-9)
    low = math.floor(math.log10(max(min(positive), max(positive) * DEEPEST)) + 1e-9)
    low = min(low, high - 1)
    left, right, top, bottom = 46.0, 350.0, 14.0, 230.0

    def x(lag: float) -> float:
        return left + (right - left) * lag / (longest - 1)

    def y(norm: float) -> float:
        return bottom - (bottom - top) * (max(math.log10(norm), low) - low) / (high - low)

    drawn = [
        (name, [(x(lag), y(v)) for lag, v in enumerate(values) if v > 0 and math.isfinite(v)], colour, dashed)
        for name, values, colour, dashed in named
    ]
    every = max(1, math.ceil((high - low) / 6))
    return LineChart(
        title=f"Size of the gradient, by how many {unit}s back, on a logarithmic scale",
        width=480,
        height=272,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(x(lag), str(lag)) for lag in _whole_ticks(longest - 1)],
        y_ticks=[Tick(y(10.0**power), _power(power)) for power in range(high, low - 1, -every)],
        x_label=f"{unit}s back from the last",
        lines=labelled(drawn, top, bottom),
    )


def curve_charts(curves: Sequence[Curve]) -> list[LineChart]:
    """One chart for each last word of the names, so that "training loss" and "validation loss" share one."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        if any(math.isfinite(v) for v in curve.values):
            groups.setdefault((curve.name.split() or [""])[-1], []).append(curve)
    return [_curve_chart(name, group) for name, group in groups.items()]


def _curve_chart(name: str, curves: Sequence[Curve]) -> LineChart:
    finite = [v for curve in curves for v in curve.values if math.isfinite(v)]
    ticks = round_ticks(min(finite), max(finite))
    low, high = min(ticks[0], min(finite)), max(ticks[-1], max(finite))
    longest = max(len(curve.values) for curve in curves)
    left, right, top, bottom = 46.0, 240.0, 14.0, 150.0

    def x(epoch: float) -> float:
        return left + (right - left) * (epoch - 1) / max(longest - 1, 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    drawn = [
        (
            curve.name,
            [(x(k + 1), y(v)) for k, v in enumerate(curve.values) if math.isfinite(v)],
            colour,
            colour % 2 == 1,
        )
        for colour, curve in enumerate(curves)
    ]
    return LineChart(
        title=f"{name} over the epochs",
        width=400,
        height=192,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(x(epoch), str(epoch)) for epoch in sorted({1, longest})],
        y_ticks=[Tick(y(value), f"{value:g}") for value in ticks],
        x_label="epoch",
        lines=labelled(drawn, top, bottom),
    )


Drawn = tuple[str, list[tuple[float, float]], int, bool]


def labelled(drawn: Iterable[Drawn], top: float, bottom: float) -> list[Line]:
    """Lines with their names beside their ends, pushed apart where they would overlap."""
    lines = sorted((line for line in drawn if line[1]), key=lambda line: line[1][-1][1])
    heights: list[float] = []
    for _, points, _, _ in lines:
        heights.append(max(points[-1][1], heights[-1] + LABEL_GAP if heights else top))
    limit = bottom
    for k in range(len(heights) - 1, -1, -1):  # back up, where the lowest have left the drawing
        heights[k] = min(heights[k], limit)
        limit = heights[k] - LABEL_GAP
    return [
        Line(_short(name), " ".join(f"{x:.1f},{y:.1f}" for x, y in points), colour % 6, dashed, at)
        for (name, points, colour, dashed), at in zip(lines, heights, strict=True)
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _whole_ticks(last: int) -> list[int]:
    step = _round_step(last / 5)
    return list(range(0, last + 1, max(1, int(step))))


def round_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that enclose the range."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / 3)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _round_step(raw: float) -> float:
    """1, 2 or 5 times a power of ten, at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


def _power(power: int) -> str:
    superscript = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(power, f"10{superscript}")
