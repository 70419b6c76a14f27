"""What the layers of a call are called on the page."""

from __future__ import annotations

from gatewise.memory import CallTrace, LayerTrace


def by_name(call: CallTrace) -> dict[str, LayerTrace]:
    """The layers as "layer 0" or "layer 0, reverse", the top one first, for that is the one an answer reads."""
    layers = sorted(call.values(), key=lambda lt: (-lt.layer, lt.reverse))
    return {f"layer {lt.layer}" + (", reverse" if lt.reverse else ""): lt for lt in layers}
