"""A picture of a study of faithfulness: what the answers lose by the share of words, a line a ranking."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gatewise.reports.charts import LineChart, Tick, labelled, round_ticks
from gatewise.reports.svg import COLOURS, chart, moved, svg
from gatewise.tasks.classify.faithfulness.curves import SHARES
from gatewise.tasks.classify.faithfulness.rankings import RANKINGS
from gatewise.tasks.classify.faithfulness.table import Faithfulness, Row, Side

WIDTH, HEIGHT = 430, 350
"""Of a panel, in units of the view box."""

LEFT, RIGHT, TOP, BOTTOM = 46.0, 310.0, 34.0, 300.0


def picture(found: Faithfulness) -> str:
    """An SVG file's text: without the words at the left, with them alone at the right; shares on a logarithmic axis."""
    rows = found.rows()
    panels = [
        moved(
            0, 0, chart(_panel("lost without these words (more is better)", rows, lambda row: row.removed))
        ),
        moved(
            WIDTH,
            0,
            chart(_panel("lost with these words alone (less is better)", rows, lambda row: row.alone)),
        ),
    ]
    return svg(2 * WIDTH, HEIGHT, panels)


def _panel(title: str, rows: Sequence[Row], side: Callable[[Row], Side]) -> LineChart:
    values = [value for row in rows for value in side(row).curve]
    low = min(0.0, *values)
    ticks = [tick for tick in round_ticks(low, max(values)) if tick >= low]
    high = max(ticks[-1], *values)

    def x(share: float) -> float:
        return LEFT + (RIGHT - LEFT) * math.log(share / SHARES[0]) / math.log(SHARES[-1] / SHARES[0])

    def y(drop: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (drop - low) / (high - low)

    drawn = [
        (
            row.ranking,
            [(x(share), y(drop)) for share, drop in zip(SHARES, side(row).curve, strict=True)],
            RANKINGS.index(row.ranking) % len(COLOURS),
            RANKINGS.index(row.ranking) >= len(COLOURS),
        )
        for row in rows
    ]
    return LineChart(
        title=f"probability {title}",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        x_ticks=[Tick(x(share), f"{share:.0%}") for share in SHARES],
        y_ticks=[Tick(y(value), f"{value:g}") for value in ticks],
        x_label="of the words",
        lines=labelled(drawn, TOP, BOTTOM),
    )
