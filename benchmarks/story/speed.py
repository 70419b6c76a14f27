"""Is a GRU faster than an LSTM of the same size? Whole training steps and whole answers, in turns in one process.

A training step is forward, backward and all gradients of weights and input; an answer a forward pass without a graph.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

import gatewise as gw
from benchmarks.measure import paired
from benchmarks.story.tables import Rows, table

SHAPES = ((100, 32, 128, 256), (400, 64, 128, 128), (50, 128, 64, 64), (200, 1, 128, 256))  # T, B, I, H
LIBRARIES = {"torch.nn": nn, "gatewise": gw}
PAIRS = 20


def training(layer: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def step() -> None:
        output, _ = layer(x)
        torch.autograd.grad(output.sum(), [*layer.parameters(), x])

    return step


def answering(layer: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def step() -> None:
        with torch.no_grad():
            layer(x)

    return step


def measure() -> Iterator[dict[str, Any]]:
    """One row a shape, library and kind of step."""
    for shape in SHAPES:
        steps, batch, inputs, hidden = shape
        x = torch.randn(steps, batch, inputs, generator=torch.Generator().manual_seed(0)).requires_grad_()
        for library, layers in LIBRARIES.items():
            torch.manual_seed(0)
            lstm, gru = layers.LSTM(inputs, hidden), layers.GRU(inputs, hidden)
            for name, run in (("training", training), ("answers", answering)):
                ratio = paired(run(lstm, x), run(gru, x), pairs=PAIRS)
                yield {"shape": shape, "library": library, "what": name} | asdict(ratio)


def tables(rows: Rows) -> str:
    lines = [
        [
            f"{row['library']}, {row['what']}, T {steps}, B {batch}, I {inputs}, H {hidden}",
            f"{1e3 / row['peer_ms']:.1f}",
            f"{1e3 / row['ours_ms']:.1f}",
            f"{1 / row['ratio']:.2f} [{1 / row['high']:.2f}, {1 / row['low']:.2f}]",
        ]
        for row in rows
        for steps, batch, inputs, hidden in [row["shape"]]
    ]
    return table(["", "LSTM, steps/s", "GRU, steps/s", "GRU as fast as (95 %)"], lines)
