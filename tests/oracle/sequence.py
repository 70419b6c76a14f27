"""A cell over a sequence, one layer and one direction, and back-propagation through time.

At step t the rows with a length above t run, and no others. Forward runs t = 0 … T-1 and reverse t = T-1 … 0, so a
row's reverse run begins at its own last step. A reset at t says that a segment begins there: in either direction
nothing is carried between the steps t - 1 and t.
"""

from typing import NamedTuple

import numpy as np

from oracle.parameters import Array, Params
from oracle.steps import CELLS, Happened
from oracle.variation import PLAIN, Step, Variation, dropped_weights, step_of


class Entry(NamedTuple):
    """How a step was entered: carried [rows, 1], 1.0 where it read the state before it, 0.0 where a segment began."""

    carried: Array
    step: Step


class Tape(NamedTuple):
    """What the backward run reads: in order of processing, the step, the rows that ran, and what happened.

    `params` are as the steps saw them: `dropped`, the factors of w_hh, stand in them.
    """

    cell: str
    params: Params
    dropped: Array | float
    x_shape: tuple[int, ...]
    steps: list[tuple[int, Array, Happened]]
    entries: list[Entry]


class Run(NamedTuple):
    """Shape: h_seq [T, B, P], c_seq [T, B, H] or None, h_n [B, P], c_n [B, H] or None."""

    h_seq: Array
    c_seq: Array | None
    h_n: Array
    c_n: Array | None
    tape: Tape


class Gradients(NamedTuple):
    """Derivatives of one number with respect to every input of a run; shapes as the inputs."""

    x: Array
    h0: Array
    c0: Array | None
    params: Params


def run(
    cell: str,
    x: Array,
    h0: Array,
    c0: Array | None,
    params: Params,
    lengths: Array | None = None,
    *,
    reverse: bool = False,
    variation: Variation = PLAIN,
    resets: Array | None = None,
    seed: int | None = None,
) -> Run:
    """Run a cell over x [T, B, I] from h0 [B, P] and, for an LSTM, c0 [B, H]; resets [T, B], seed None in eval."""
    kind = CELLS[cell]
    T, B = x.shape[:2]
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    h = np.array(h0, dtype=np.float64)
    c = np.array(c0, dtype=np.float64) if kind.has_c else None
    P, H = params.w_hh.shape[1], _hidden(params)
    dropped = dropped_weights(variation, seed, params.w_hh.shape)
    params = params._replace(w_hh=params.w_hh * dropped)
    h_seq = np.zeros((T, *h.shape))
    c_seq = None if c is None else np.zeros((T, *c.shape))
    steps, entries = [], []
    for t in range(T - 1, -1, -1) if reverse else range(T):
        rows = np.flatnonzero(lengths > t)
        carried = np.array([not _begins(resets, t, b, lengths[b], reverse) for b in rows])
        carried = carried.reshape(-1, 1).astype(np.float64)
        step = step_of(variation, seed, t, rows, P, H)
        h_in, c_in = h[rows] * carried, None if c is None else c[rows] * carried
        happened = kind.forward(x[t, rows], h_in, c_in, params, step)
        h[rows] = h_seq[t, rows] = happened["h"]
        if c is not None and c_seq is not None:
            c[rows] = c_seq[t, rows] = happened["c"]
        steps.append((t, rows, happened))
        entries.append(Entry(carried, step))
    return Run(h_seq, c_seq, h, c, Tape(cell, params, dropped, x.shape, steps, entries))


def _hidden(params: Params) -> int:
    return (params.w_hh if params.w_hr is None else params.w_hr).shape[1]


def _begins(resets: Array | None, t: int, b: int, length: int, reverse: bool) -> bool:
    """Whether row b enters step t from another segment's last processed step."""
    if resets is None:
        return False
    if not reverse:
        return bool(resets[t, b])
    return t + 1 < length and bool(resets[t + 1, b])


def run_backward(
    tape: Tape,
    d_h_seq: Array,
    d_h_n: Array,
    d_c_seq: Array | None = None,
    d_c_n: Array | None = None,
) -> Gradients:
    """Derivatives of Σ (d_h_seq · h_seq) + (d_h_n · h_n) + (d_c_seq · c_seq) + (d_c_n · c_n); None counts as zero."""
    kind = CELLS[tape.cell]
    dx = np.zeros(tape.x_shape)
    dh = np.array(d_h_n, dtype=np.float64)
    B, H = dh.shape[0], _hidden(tape.params)
    dc = (np.zeros((B, H)) if d_c_n is None else np.array(d_c_n, dtype=np.float64)) if kind.has_c else None
    d_params = tape.params.like(np.zeros_like)
    for (t, rows, happened), (carried, step) in zip(
        reversed(tape.steps), reversed(tape.entries), strict=True
    ):
        dh[rows] += d_h_seq[t, rows]
        if dc is not None and d_c_seq is not None:
            dc[rows] += d_c_seq[t, rows]
        back = kind.backward(happened, tape.params, dh[rows], None if dc is None else dc[rows], step)
        dx[t, rows] = back.x
        dh[rows] = back.h * carried
        if dc is not None and back.c is not None:
            dc[rows] = back.c * carried
        for total, part in zip(d_params, back.params, strict=True):
            if total is not None and part is not None:
                total += part
    return Gradients(dx, dh, dc, d_params._replace(w_hh=d_params.w_hh * tape.dropped))
