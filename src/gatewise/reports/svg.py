"""Pictures as SVG files of their own, which need no style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gatewise.reports.charts import LineChart

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#62666d", "#1d1f23")
"""Of the lines of a chart, by the index of their colour; those of a page."""

RULE, GRID = "#888888", "#e2dfd8"


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    """A file's text, in units of the view box; the background is white."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def moved(x: float, y: float, parts: Sequence[str]) -> str:
    """The parts as a group whose origin is at (x, y)."""
    return f'<g transform="translate({x} {y})">{"".join(parts)}</g>'


def text(x: float, y: float, words: str, **attributes: str) -> str:
    """Words with their left end at (x, y); attributes by name, with _ for -."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(words)}</text>'


def polyline(points: str, colour: str, *, dashed: bool = False) -> str:
    """A line through points such as "1,2 3,4"."""
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
        f'stroke-opacity="0.85"{dashes}/>'
    )


def axes(left: float, right: float, top: float, bottom: float) -> str:
    """The left and the lower edge of a plot area."""
    return f'<path d="M{left:g} {top:g}V{bottom:g}H{right:g}" fill="none" stroke="{RULE}"/>'


def chart(lines: LineChart) -> list[str]:
    """A line chart with its title above it, written out."""
    left, right, top, bottom = lines.left, lines.right, lines.top, lines.bottom
    parts = [text(left, top - 12, lines.title, font_weight="bold"), axes(left, right, top, bottom)]
    for tick in lines.y_ticks:
        parts.append(f'<path d="M{left:g} {tick.at:.1f}H{right:g}" stroke="{GRID}"/>')
        parts.append(text(left - 6, round(tick.at + 4, 1), tick.label, text_anchor="end"))
    for tick in lines.x_ticks:
        parts.append(text(round(tick.at, 1), bottom + 16, tick.label, text_anchor="middle"))
    parts.append(text((left + right) / 2, bottom + 32, lines.x_label, text_anchor="middle"))
    for line in lines.lines:
        colour = COLOURS[line.colour]
        parts.append(polyline(line.points, colour, dashed=line.dashed))
        parts.append(text(right + 8, round(line.label_y + 4, 1), line.name, fill=colour))
    return parts
