"""A page's numbers as the JSON that its script reads; arrays are base64 of little-endian float32."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from gatewise.reports.captions import family
from gatewise.reports.page import Floats, LayerView, Page
from gatewise.reports.view import printable


def page_values(page: Page) -> dict[str, Any]:
    """Everything that does not depend on the layer that is shown."""
    variables = page.variables
    return {
        "unit": page.unit,
        "start": starting_word(page),
        "layers": len(page.layers),
        "words": [printable(word.text) for word in page.words],
        "held": packed([word.held for word in page.words]),
        "push": packed([word.push for word in page.words]),
        "kept": [at for at, word in enumerate(page.words) if word.kept],
        "variables": variables
        and {
            "names": [printable(name) for name in variables.names],
            "values": packed(variables.values),
            "push": None if variables.push is None else packed(variables.push),
        },
    }


def layer_values(layer: LayerView) -> dict[str, Any]:
    """One layer in one direction; h of an LSTM is left out, since the script has o and c."""
    steps, units = layer.memory.shape
    return {
        "name": printable(layer.name),
        "family": family(layer),
        "relu": layer.cell == "rnn_relu",
        "reverse": layer.reverse,
        "positions": layer.positions.tolist(),
        "steps": steps,
        "units": units,
        "start": starting_unit(layer),
        "gates": {name: packed(values) for name, values in layer.gates.items()},
        "memory": packed(layer.memory),
        "initial": packed(layer.initial),
        "belt": packed_or_none(layer.belt),
        "edge": packed_or_none(layer.edge),
        "reading": packed_or_none(layer.reading),
        "halfLives": packed(layer.half_lives),
        "written": packed_or_none(write_sizes(layer)),
        "retained": packed_or_none(retained(layer)),
    }


def starting_word(page: Page) -> int:
    """The word that the page opens with: of the largest push, else of the largest held, else the last one."""
    for key in (lambda word: word.push, lambda word: word.held):
        known = [(key(word), -at) for at, word in enumerate(page.words) if math.isfinite(key(word))]
        if known:
            return -max(known)[1]
    return max(len(page.words) - 1, 0)


def starting_unit(layer: LayerView) -> int:
    """The unit that ever held most."""
    return int(np.abs(layer.memory).max(0).argmax())


def written(layer: LayerView) -> Floats | None:
    """What each step adds to the memory [T, H]: i⊙g, or (1-z)⊙n; None for a plain RNN."""
    gates = layer.gates
    if family(layer) == "lstm":
        return gates["i"] * gates["g"]
    return (1 - gates["z"]) * gates["n"] if "z" in gates else None


def write_sizes(layer: LayerView) -> Floats | None:
    """‖written‖ of each step [T]."""
    added = written(layer)
    return None if added is None else np.linalg.norm(added, axis=1)


def retained(layer: LayerView) -> Floats | None:
    """R of the last step in reading order, for each step the mean over the units [T]; None for a plain RNN."""
    keep = layer.gates.get("f", layer.gates.get("z"))
    if keep is None:
        return None
    order = (
        slice(None) if layer.reverse else slice(None, None, -1)
    )  # from the last step that was read to the first
    since = np.ones(keep.shape)
    since[1:] = np.cumprod(keep[order][:-1], axis=0, dtype=np.float64)
    return since[order].mean(1).astype(np.float32)


def packed(values: ArrayLike) -> str:
    with np.errstate(over="ignore"):  # beyond float32 a drawing has no room either
        values = np.asarray(values, dtype="<f4")
    return base64.b64encode(values.tobytes()).decode()


def packed_or_none(values: Floats | None) -> str | None:
    return None if values is None else packed(values)


def to_json(values: Any) -> Markup:
    """JSON that may stand in a script element: no character of it can end the element or begin another."""
    text = json.dumps(_plain(values), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _plain(values: Any) -> Any:
    """The same, with NumPy's values as Python's, and null for what is not a finite number, which JSON cannot say."""
    if isinstance(values, (np.ndarray, np.generic)):
        values = values.tolist()
    if isinstance(values, Mapping):
        return {str(key): _plain(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_plain(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values
