"""One input of a classifier seen from inside: what every layer did, and how the answer reads the top one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatewise.data.tokenizer import kept_positions
from gatewise.memory import LayerTrace, Trace, held, push_ledger, record
from gatewise.tasks.classify.fitted import FittedClassifier

Floats = NDArray[np.float64]


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
        return top_of(self.layers)

    def weights(self, place: int) -> Tensor:
        """`reading` of direction `place` of the top layer: [T, 1] or [T, 1, H]."""
        return self.reading if self.reading.dim() == 2 else self.of_direction(place, self.reading)

    def over_all(self, values: ArrayLike) -> list[float]:
        """Values of the T steps that were read at their places among all N; 0 elsewhere."""
        found = np.zeros(self.steps)
        found[self.positions] = values
        return found.tolist()

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


def sums(opened: Opened, v: Tensor) -> tuple[list[Floats], list[Floats], float]:
    """Held and push [T] of each direction of the top layer, and what the initial states pushed; v [D·H]."""
    shares, pushes, initial = [], [], 0.0
    for place, lt in enumerate(opened.top):
        a = opened.weights(place)
        ledger = push_ledger(lt, a, opened.of_direction(place, v))
        shares.append(held(lt, a)[:, 0].double().cpu().numpy())
        pushes.append(ledger.push[:, 0].double().cpu().numpy())
        initial += float(ledger.initial[0])
    return shares, pushes, initial


def by_depth(trace: Trace) -> dict[str, LayerTrace]:
    """Every layer and direction of a trace by "layer 0" or "layer 0, reverse", the bottom one first."""
    found, seen = {}, []
    for lt in trace.layers():
        if (lt.path, lt.layer) not in seen:
            seen.append((lt.path, lt.layer))
        found[f"layer {len(seen) - 1}" + (", reverse" if lt.reverse else "")] = lt
    return found


def top_of(layers: dict[str, LayerTrace]) -> list[LayerTrace]:
    """The uppermost of the layers that `by_depth` names, one trace a direction."""
    *_, last = layers.values()
    return [lt for lt in layers.values() if (lt.path, lt.layer) == (last.path, last.layer)]
