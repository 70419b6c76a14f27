"""A picture of a long-lag study: how the share of right sequences grew, a panel an experiment, a line a trial."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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
        f'<g transform="translate({k % across * WIDTH} {k // across * HEIGHT + 30})">'
        + _panel(EXPERIMENTS[name].title, [trial for trial in trials if trial.experiment == name])
        + "</g>"
        for k, name in enumerate(names)
    ]
    key = "".join(
        f'<text x="{LEFT + 70 * k}" y="20" fill="{COLOURS[cell]}" font-weight="bold">{cell.upper()}</text>'
        for k, cell in enumerate(cells)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        + key
        + "\n"
        + "\n".join(panels)
        + "\n</svg>\n"
    )


def _panel(title: str, trials: Sequence[Trial]) -> str:
    most = max(trial.curve[-1][0] for trial in trials)
    lines = "".join(_line(trial, most) for trial in trials)
    return (
        f'<text x="{LEFT}" y="{TOP - 10}" font-weight="bold">{escape(title)}</text>'
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888"/>'
        f'<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">1</text>'
        f'<text x="{LEFT - 5}" y="{BOTTOM}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="{BOTTOM + 14}">share right, by sequences</text>'
        f'<text x="{RIGHT}" y="{BOTTOM + 14}" text-anchor="end">{most:,}</text>' + lines
    )


def _line(trial: Trial, most: int) -> str:
    places = [
        (LEFT + (RIGHT - LEFT) * sequences / most, BOTTOM - (BOTTOM - TOP) * right)
        for sequences, right in [(0, 0.0), *trial.curve]
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    colour = COLOURS[trial.cell]
    x, y = places[-1]
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' if trial.success else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-opacity="0.8"/>{dot}'
