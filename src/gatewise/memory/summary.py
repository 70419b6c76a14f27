"""Layer traces in a few lines: path, cell, shape, median half-life, saturated units, residual."""

from html import escape

import torch

from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.time_constants import half_life, saturation

MAX_LINES = 8
SATURATED = (
    0.9  # a unit counts as saturated when some gate is saturated to one side in this share of its steps
)
COLUMNS = ("layer", "cell", "T, B, H", "half-life", "saturated", "residual")


def describe(lt: LayerTrace) -> tuple[str, ...]:
    """The cells of one row, in the order of COLUMNS."""
    steps, batch, hidden = lt.content_shape
    return (
        lt.label,
        lt.cell,
        f"{steps}, {batch}, {hidden}",
        _median_half_life(lt),
        _saturated(lt),
        _residual(lt),
    )


def _median_half_life(lt: LayerTrace) -> str:
    if not lt.gates or not lt.valid().any():
        return "-"
    shown = f"{float(half_life(lt).median()):.3g}"
    return f"{shown} step" + ("" if shown == "1" else "s")


def _saturated(lt: LayerTrace) -> str:
    shares = [share for pair in saturation(lt).values() for share in pair]
    if not shares or not lt.valid().any():
        return "-"
    count = int((torch.stack(shares) > SATURATED).any(0).sum())
    return f"{count} of {shares[0].numel()} units"


def _residual(lt: LayerTrace) -> str:
    return f"{lt.residual:.1e}"


def text(layers: list[LayerTrace]) -> str:
    """At most MAX_LINES lines; what does not fit is counted in the last."""
    shown = layers if len(layers) < MAX_LINES else layers[: MAX_LINES - 2]
    rows = [COLUMNS, *(describe(lt) for lt in shown)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(shown) < len(layers):
        lines.append(f"... and {len(layers) - len(shown)} more")
    return "\n".join(lines)


def html(layers: list[LayerTrace]) -> str:
    """The same as a small table; every text in it is escaped."""

    def row(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(describe(lt), "td") for lt in layers)
    return f"<table><thead>{row(COLUMNS, 'th')}</thead><tbody>{body}</tbody></table>"
