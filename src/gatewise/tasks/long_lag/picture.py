"""A picture of a long-lag study: how the share of right sequences grew, a panel an experiment, a line a trial."""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.reports.svg import axes, moved, polyline, svg, text
from gatewise.tasks.long_lag.experiments import EXPERIMENTS
from gatewise.tasks.long_lag.trial import Trial

COLOURS = {"rnn": "#b3261e", "irnn": "#c77700", "gru": "#1f6fb2", "lstm": "#1b7f4b"}
WIDTH, HEIGHT = 300, 190
"""Of a panel, in units of the view box."""

LEFT, RIGHT, TOP, BOTTOM = 40, 285, 30, 150
ACROSS = 3


def picture(trials: Sequence[Trial]) -> str:
    """An SVG file's text.

    The x axis counts the sequences presented, up to the longest trial; the y axis is the share of right ones among
    those since the point before. A dot ends the line of a success.
    """
    names = [name for name in EXPERIMENTS if any(trial.experiment == name for trial in trials)]
    cells = [cell for cell in COLOURS if any(trial.cell == cell for trial in trials)]
    across = max(1, min(ACROSS, len(names)))
    width, height = across * WIDTH, -(-len(names) // across) * HEIGHT + 30
    panels = [
        moved(
            k % across * WIDTH,
            k // across * HEIGHT + 30,
            _panel(EXPERIMENTS[name].title, [trial for trial in trials if trial.experiment == name]),
        )
        for k, name in enumerate(names)
    ]
    key = [
        text(LEFT + 70 * k, 20, cell.upper(), fill=COLOURS[cell], font_weight="bold")
        for k, cell in enumerate(cells)
    ]
    return svg(width, height, [*key, *panels])


def _panel(title: str, trials: Sequence[Trial]) -> list[str]:
    most = max(trial.curve[-1][0] for trial in trials)
    return [
        text(LEFT, TOP - 10, title, font_weight="bold"),
        axes(LEFT, RIGHT, TOP, BOTTOM),
        text(LEFT - 5, TOP + 4, "1", text_anchor="end"),
        text(LEFT - 5, BOTTOM, "0", text_anchor="end"),
        text(LEFT, BOTTOM + 14, "share right, by sequences"),
        text(RIGHT, BOTTOM + 14, f"{most:,}", text_anchor="end"),
        *(_line(trial, most) for trial in trials),
    ]


def _line(trial: Trial, most: int) -> str:
    places = [
        (LEFT + (RIGHT - LEFT) * sequences / most, BOTTOM - (BOTTOM - TOP) * right)
        for sequences, right in [(0, 0.0), *trial.curve]
    ]
    colour = COLOURS[trial.cell]
    x, y = places[-1]
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' if trial.success else ""
    return polyline(" ".join(f"{x:.1f},{y:.1f}" for x, y in places), colour) + dot
