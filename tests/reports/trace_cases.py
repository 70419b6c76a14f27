"""Layer traces with chosen or random gates, made here step by step in float64 from the papers' equations."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.memory import LayerTrace

HAND = {
    "i": [0.8, 0.5, 0.5], "f": [0.5, 0.9, 0.8], "g": [0.5, -0.4, 0.2], "o": [0.5, 0.5, 0.9],
}  # fmt: skip
"""The example by hand of docs/memory.md: one unit, three steps, c = 0.40, 0.16, 0.228."""


def made(
    cell: str,
    gates: dict[str, NDArray[np.float64]],
    *,
    initial: NDArray[np.float64] | None = None,
    lengths: list[int] | None = None,
    reverse: bool = False,
    layer: int = 0,
    residual: float = 0.0,
) -> LayerTrace:
    """A trace with these activated gates [T, B, H]; the states follow from them, in reading order."""
    T, B, H = next(iter(gates.values())).shape
    rows = lengths or [T] * B
    start = np.zeros((B, H)) if initial is None else initial
    valid = np.arange(T)[:, None, None] < np.array(rows)[None, :, None]
    gates = {name: values * valid for name, values in gates.items()}
    memory, h = np.zeros((T, B, H)), np.zeros((T, B, H))
    for b, steps in enumerate(rows):
        state = start[b]
        for t in reversed(range(steps)) if reverse else range(steps):
            if cell == "lstm":
                state = gates["f"][t, b] * state + gates["i"][t, b] * gates["g"][t, b]
                h[t, b] = gates["o"][t, b] * np.tanh(state)
            else:
                state = gates["z"][t, b] * state + (1 - gates["z"][t, b]) * gates["n"][t, b]
                h[t, b] = state
            memory[t, b] = state
    is_lstm = cell == "lstm"
    return LayerTrace(
        path="net.rnn",
        layer=layer,
        direction="reverse" if reverse else "forward",
        cell=cell,
        gates={name: torch.tensor(values) for name, values in gates.items()},
        h=torch.tensor(h),
        h0=torch.zeros(B, H, dtype=torch.float64) if is_lstm else torch.tensor(start),
        c=torch.tensor(memory) if is_lstm else None,
        c0=torch.tensor(start) if is_lstm else None,
        lengths=None if lengths is None else torch.tensor(lengths),
        replayed_residual=residual,
    )


def hand(reverse: bool = False) -> LayerTrace:
    """The example by hand; in reverse its steps stand in the other order."""
    gates = {name: np.array(values)[:, None, None] for name, values in HAND.items()}
    return made("lstm", {k: v[::-1] for k, v in gates.items()} if reverse else gates, reverse=reverse)


def random(cell: str, T: int = 7, B: int = 3, H: int = 4, *, seed: int = 0, **options) -> LayerTrace:
    """Random gates from a random initial memory."""
    rng = np.random.default_rng(seed)
    open_ = {name: rng.uniform(0.05, 1, (T, B, H)) for name in ("ifo" if cell == "lstm" else "rz")}
    content = np.tanh(rng.normal(size=(T, B, H)))
    gates = {**open_, ("g" if cell == "lstm" else "n"): content}
    return made(cell, gates, initial=np.tanh(rng.normal(size=(B, H))), **options)
