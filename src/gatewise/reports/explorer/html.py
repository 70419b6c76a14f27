"""The explorer as one HTML file."""

from __future__ import annotations

from gatewise.reports.captions import count
from gatewise.reports.explorer import payload
from gatewise.reports.explorer.door import Exploration
from gatewise.reports.explorer.quantised import quantised
from gatewise.reports.payload import to_json
from gatewise.reports.rendering import render_document

SCRIPTS = (
    "page/bytes", "page/wording", "page/pen", "explorer/values", "explorer/chosen", "explorer/orders", "explorer/shade",
    "explorer/picture", "explorer/scroll", "explorer/labels", "explorer/map", "explorer/marking", "explorer/reading",
    "explorer/search", "explorer/found", "explorer/tools", "explorer/start",
)  # fmt: skip
STYLES = ("page/base", "page/ramp", "explorer/frame", "explorer/map", "explorer/found")

MAPS = {
    "i": ("input gate", "write something new?"),
    "f": ("forget gate", "keep what is stored?"),
    "g": ("content", "what would be written"),
    "o": ("output gate", "show what is stored?"),
    "c": ("cell state", "what is stored"),
    "r": ("reset gate", "look back while making new content?"),
    "z": ("update gate", "keep what is stored?"),
    "n": ("content", "what would be written"),
    "h": ("hidden state", "what is read"),
}
"""What each map shows, in the order of the buttons."""


def render(exploration: Exploration) -> str:
    """One self-contained HTML file; see `render_document`."""
    described, arrays = payload.values(exploration)
    sides = exploration.sides
    maps = {name for side in sides for layer in side.layers for name in layer.maps}
    layers = list(dict.fromkeys(layer.name for side in sides for layer in side.layers))
    return render_document(
        "explorer.html.j2",
        exploration.title,
        styles=STYLES,
        scripts=SCRIPTS,
        exploration=exploration,
        lead=_lead(exploration),
        cells=[_cells(exploration, k) for k in range(len(sides))],
        maps={name: told for name, told in MAPS.items() if name in maps},
        layers=layers,
        has_lives=any(layer.maps.keys() - {"h"} for side in sides for layer in side.layers),
        precision=_precision(exploration),
        values=to_json(described),
        arrays={name: to_json(text) for name, text in arrays.items()},
    )


def _lead(exploration: Exploration) -> str:
    unit, sides = exploration.unit, exploration.sides
    if len(sides) == 1:
        return f"Every gate and state of every unit, at each of {count(len(sides[0].steps), unit)}."
    if exploration.same_model:
        return "Two texts, read by one model: every gate and state of every unit."
    if list(sides[0].steps) == list(sides[1].steps):
        return (
            f"Two models, one text of {count(len(sides[0].steps), unit)}: every gate and state of every unit."
        )
    return "Two models, each with its text: every gate and state of every unit."


def _cells(exploration: Exploration, k: int) -> str:
    """What the model of a side is made of, such as "lstm, 2 layers, 128 units; 57 words"."""
    side = exploration.sides[k]
    first = side.layers[0]
    layers = "" if len(side.layers) == 1 else f"{count(len(side.layers), 'layer')} and directions, "
    units = count(len(first.time_constants), "unit")
    return f"{first.cell.replace('_', ' ')}, {layers}{units}; {count(len(side.steps), exploration.unit)}"


def _precision(exploration: Exploration) -> str:
    error, place = max(side.error for side in exploration.sides)
    said = (
        "Each value stands in this page as one byte. A gate between 0 and 1 is off by 0.002 at most; the largest error "
        f"of all is {error:.2g}, in {place}."
    )
    if exploration.corpus is None:
        return said
    worst = max(quantised(states).error for states in exploration.corpus.states.values())
    return f"{said} The states of the corpus are off by {worst:.2g} at most in each unit."
