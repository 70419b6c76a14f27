"""How the learning rate goes over the steps."""

from __future__ import annotations

import math


def schedule(
    step: int,
    steps: int,
    warmup: int,
    kind: str = "linear",
    *,
    epochs: int = 1,
    decay: float = 1.0,
    decay_from: int = 0,
) -> float:
    """Factor of the learning rate at a step (from 0): a linear warm-up times a way down to 0 after `steps`.

    The warm-up takes at most a fifth of all steps, so that a short training reaches its rate.

    Args:
        kind: linear: 1 - step/steps; cosine: (1 + cos(π·step/steps)) / 2 (Loshchilov & Hutter 2017, without
            restarts); constant: 1; decay: 1 in the first `decay_from` of the `epochs`, and `decay` times that of the
            epoch before in each later one (Zaremba et al. 2014).
    """
    warmup = min(warmup, steps // 5)
    done = step / steps
    if kind == "decay":
        left = decay ** max(0, step * epochs // steps + 1 - decay_from)
    else:
        left = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[kind]
    return min(1.0, (step + 1) / max(warmup, 1)) * left
