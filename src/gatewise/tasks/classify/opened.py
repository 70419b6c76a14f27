"""One input of a classifier seen from inside: what every layer did, and how the answer reads the top one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.tokenizer import kept_positions
from gatewise.memory import LayerTrace, Trace, record
from gatewise.tasks.classify.fitted import FittedClassifier


@dataclass(frozen=True, eq=False)
class Opened:
    """One pass of one input; T steps that the network read of N.

    Args:
        array: the input as the network read it: ids [T], or scaled values [T, F].
        positions: [T], which of the N steps each one is.
        steps: N.
        layers: every layer and direction by name, as `by_depth` says; batch 1.
        reading: how the answer reads the top layer, [T, 1] or [T, 1, D·H].
        logits: [K] float64.
    """

    array: np.ndarray
    positions: NDArray[np.int64]
    steps: int
    layers: dict[str, LayerTrace]
    reading: Tensor
    logits: Tensor

    @property
    def top(self) -> list[LayerTrace]:
        """The layer that the answer reads, one trace a direction."""
        *_, last = self.layers.values()
        return [lt for lt in self.layers.values() if (lt.path, lt.layer) == (last.path, last.layer)]

    def of_direction(self, place: int, values: Tensor) -> Tensor:
        """The share [..., H] of values [..., D·H] that belongs to direction `place` of the top layer."""
        size = values.shape[-1] // len(self.top)
        return values[..., place * size : (place + 1) * size]


@torch.no_grad()
def open_input(fitted: FittedClassifier, x: Any) -> Opened:
    """Run the network on one text, or one array [T, F], and record every layer."""
    config, network = fitted.config, fitted.network
    (full,) = fitted.encoder.full([x])
    (array,) = fitted.encoder.cut([full])
    inputs, lengths = (t.to(next(network.parameters()).device) for t in fitted.encoder.collate([array]))
    with record(network.recurrent) as trace:
        h = network.hidden(inputs, lengths)  # [T, 1, D·H]
        logits = network.output(network.pooling(h, lengths))[0].double()
    return Opened(
        array,
        kept_positions(len(full), config.max_length, config.truncate),
        len(full),
        by_depth(trace),
        network.pooling.weights(h, lengths),
        logits,
    )


def by_depth(trace: Trace) -> dict[str, LayerTrace]:
    """Every layer and direction of a trace by "layer 0" or "layer 0, reverse", the bottom one first."""
    found, seen = {}, []
    for lt in trace.layers():
        if (lt.path, lt.layer) not in seen:
            seen.append((lt.path, lt.layer))
        found[f"layer {len(seen) - 1}" + (", reverse" if lt.reverse else "")] = lt
    return found
