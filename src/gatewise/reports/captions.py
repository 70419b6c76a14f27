"""The sentences of a page that come from its parts as a whole; those on single gates are in `sentences`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gatewise.reports.page import Check, FlowCurve, LayerView, Page

GATE_QUESTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "lstm": {
        "f": ("forget gate", "keep what is stored?"),
        "i": ("input gate", "write something new?"),
        "o": ("output gate", "show what is stored?"),
    },
    "gru": {
        "z": ("update gate", "keep what is stored?"),
        "r": ("reset gate", "look back while making new content?"),
    },
    "rnn": {},
}
"""For each family of cells its gates in the order of the page, with a name and the question that each answers."""

NO_BELT = (
    "A plain RNN has no conveyor belt. At every step its whole memory goes through a weight matrix and is computed "
    "anew, so no share of it can be said to come from one {unit}. An LSTM and a GRU multiply what they store, unit by "
    "unit, and add to it; that sum is what a belt shows."
)


BEATEN = 0.95
"""Of the random draws: those that must lower the probability less than leaving out the kept steps does."""


def count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" + ("" if number == 1 else "s")


def share(value: float) -> str:
    """A probability or a share in per cent, with a decimal where it would otherwise read as 0% or 100%."""
    if not math.isfinite(value):
        return "unknown"
    if 0 < value < 0.0005:
        return "under 0.1%"
    if 0.9995 <= value < 1:
        return "over 99.9%"
    return f"{value:.0%}" if value in (0, 1) or 0.005 <= value < 0.995 else f"{value:.1%}"


def family(layer: LayerView) -> str:
    """lstm, gru or rnn."""
    return layer.cell.split("_")[0]


def kept_sentence(page: Page) -> str:
    """How much of the sequence carries the answer; "" where that was not measured."""
    check = page.check
    if check is None:
        return ""
    total = sum(not word.cut for word in page.words)
    if check.kept == 0:
        return f"Spread out: no small part of its {count(total, page.unit)} carries the answer alone."
    return f"{kept_share(check, total, page.unit)}."


def kept_share(check: Check, total: int, unit: str) -> str:
    """How many of `total` steps a kept set has that there is, without a full stop."""
    kept = f"{check.kept:,} of {count(total, unit)}"
    return f"Spread out: it needs {kept} for its answer" if check.spread_out else f"It kept {kept}"


def verdict(check: Check, unit: str) -> str:
    """Whether what is said to have been kept is what the answer rests on."""
    if check.kept == 0:
        return f"There is no small set of {unit}s to test, so nothing stands or falls here."
    those = count(check.kept, unit)
    if check.holds:
        return (
            f"It holds up. Leaving out the {those} it kept lowers the probability more than at least "
            f"{BEATEN:.0%} of the random draws do."
        )
    why = why_it_fails(check, unit)
    return f"It does not hold up: {why}. Do not read what it kept as the reason for the answer."


def why_it_fails(check: Check, unit: str) -> str:
    """In what a check that does not hold falls short; for a set of at least one step."""
    those = count(check.kept, unit)
    if not check.random:
        return f"the {those} it kept are all there is, and nothing else can be left out to compare"
    beaten, draws = sum(other > check.without for other in check.random), len(check.random)
    if beaten >= BEATEN * draws:
        return f"leaving out the {those} it kept does not lower the probability"
    return (
        f"leaving out the {those} it kept lowers the probability more than {beaten:,} of the {draws:,} random draws "
        f"do, and it takes {BEATEN:.0%}"
    )


def flow_sentences(flows: Sequence[FlowCurve], unit: str) -> list[str]:
    """For each curve how far the gradient reaches, and how much of it the highway carries."""
    return [_flow_sentence(flow, unit) for flow in flows if len(flow.full) > 1 and flow.full[0] > 0]


def _flow_sentence(flow: FlowCurve, unit: str) -> str:
    start, last = flow.full[0], len(flow.full) - 1
    faded = next((lag for lag, norm in enumerate(flow.full) if norm < 0.01 * start), None)
    said = (
        f"{flow.name}: {count(last, unit)} back the gradient still has {share(flow.full[-1] / start)} of its first size"
        if faded is None
        else f"{flow.name}: {count(faded, unit)} back the gradient has fallen below 1% of its first size"
    )
    if flow.highway is None or not flow.full[-1] > 0:
        return said + "."
    part = flow.highway[-1] / flow.full[-1]
    size = share(part) if part <= 1 else f"{part:.1f} times"
    return f"{said}; at the far end the highway alone has {size} the size of the whole."
