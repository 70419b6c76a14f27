"""The explorer's numbers as the JSON that its script reads; maps and states are base64 of one byte a value."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from gatewise.reports.explorer.corpus import Corpus
from gatewise.reports.explorer.door import Exploration
from gatewise.reports.explorer.quantised import Quantised, quantised
from gatewise.reports.explorer.sides import Layer, Side
from gatewise.reports.payload import packed
from gatewise.shown import printable


def values(exploration: Exploration) -> tuple[dict[str, Any], dict[str, str]]:
    """What the script reads at once, and the arrays that it reads when they are first shown, by the name that the first
    part gives them."""
    arrays: dict[str, str] = {}
    described = {
        "unit": exploration.unit,
        "sameModel": exploration.same_model,
        "sides": [_side(side, k, arrays) for k, side in enumerate(exploration.sides)],
        "corpus": None if exploration.corpus is None else _corpus(exploration.corpus, arrays),
    }
    return described, arrays


def _side(side: Side, k: int, arrays: dict[str, str]) -> dict[str, Any]:
    return {
        "title": printable(side.title),
        "steps": [printable(name) for name in side.steps],
        "isRead": side.is_read,
        "layers": [_layer(layer, f"{k}-{place}", arrays) for place, layer in enumerate(side.layers)],
    }


def _layer(layer: Layer, place: str, arrays: dict[str, str]) -> dict[str, Any]:
    return {
        "name": layer.name,
        "cell": layer.cell,
        "reverse": layer.reverse,
        "lives": packed(layer.time_constants),
        "contributions": packed(layer.contributions),
        "maps": {
            name: _array(one.values, f"map-{place}-{name}", arrays) | {"limit": one.limit}
            for name, one in layer.maps.items()
        },
    }


def _corpus(corpus: Corpus, arrays: dict[str, str]) -> dict[str, Any]:
    return {
        "name": printable(corpus.name),
        "texts": [[printable(name) for name in names] for names in corpus.texts],
        "ids": [printable(str(name)) for name in corpus.ids or range(1, len(corpus.texts) + 1)],
        "states": {
            name: _array(_turned(quantised(states)), f"corpus-{k}", arrays)
            for k, (name, states) in enumerate(corpus.states.items())
        },
    }


def _turned(states: Quantised) -> Quantised:
    """[N, P] as [P, N]: the search adds up unit by unit."""
    return Quantised(np.ascontiguousarray(states.numbers.T), states.scale)


def _array(one: Quantised, name: str, arrays: dict[str, str]) -> dict[str, Any]:
    arrays[name] = base64.b64encode(one.numbers.tobytes()).decode()
    return {"array": name, "rows": len(one.numbers), "scale": one.scale, "signed": one.signed}
