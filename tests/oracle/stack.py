"""Layers over layers, in one direction or two: the output of a layer is the input of the next."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from oracle.parameters import Array, Params
from oracle.sequence import Gradients, Run, run, run_backward
from oracle.variation import PLAIN, Variation


class StackRun(NamedTuple):
    """Shape: output [T, B, D*P], h_n [L*D, B, P], c_n [L*D, B, H] or None."""

    output: Array
    h_n: Array
    c_n: Array | None
    runs: list[Run]
    directions: int


class StackGradients(NamedTuple):
    """Derivatives with respect to every input of a stack; shapes as the inputs."""

    x: Array
    h0: Array
    c0: Array | None
    params: list[Params]


def stack(
    cell: str,
    x: Array,
    h0: Array,
    c0: Array | None,
    params: list[Params],
    lengths: Array | None = None,
    *,
    directions: int = 1,
    variation: Variation = PLAIN,
    resets: Array | None = None,
    seeds: Sequence[int | None] | None = None,
) -> StackRun:
    """Run len(params) / directions layers over x [T, B, I]; states [L*D, B, *], layer by layer, forward first.

    `seeds` has one for each layer and direction, or is None in eval.
    """
    seeds = [None] * len(params) if seeds is None else seeds
    runs: list[Run] = []
    for first in range(0, len(params), directions):
        layer = [
            run(
                cell, x, h0[k], None if c0 is None else c0[k], params[k], lengths,
                reverse=k > first, variation=variation, resets=resets, seed=seeds[k],
            )
            for k in range(first, first + directions)
        ]  # fmt: skip
        x = np.concatenate([r.h_seq for r in layer], axis=-1)
        runs += layer
    c_n = None if c0 is None else np.stack([r.c_n for r in runs if r.c_n is not None])
    return StackRun(x, np.stack([r.h_n for r in runs]), c_n, runs, directions)


def stack_backward(
    finished: StackRun, d_output: Array, d_h_n: Array, d_c_n: Array | None = None
) -> StackGradients:
    """Derivatives of Σ (d_output · output) + (d_h_n · h_n) + (d_c_n · c_n)."""
    runs, D = finished.runs, finished.directions
    back: dict[int, Gradients] = {}
    for first in range(len(runs) - D, -1, -D):
        parts = np.split(d_output, D, axis=-1)
        for k, part in zip(range(first, first + D), parts, strict=True):
            back[k] = run_backward(runs[k].tape, part, d_h_n[k], None, None if d_c_n is None else d_c_n[k])
        d_output = np.sum([back[k].x for k in range(first, first + D)], axis=0)
    found = [back[k] for k in range(len(runs))]
    c0 = None if finished.c_n is None else np.stack([b.c0 for b in found if b.c0 is not None])
    return StackGradients(d_output, np.stack([b.h0 for b in found]), c0, [b.params for b in found])
