"""Layer traces built from the NumPy oracle's run, and the identities of memory written out term by term."""

import numpy as np
import torch
from oracle import CELLS, Params, random_params, run

from gatewise.memory import LayerTrace

GATES = {"lstm": "ifgo", "gru": "rzn", "gru_reset_before": "rzn", "rnn_tanh": "", "rnn_relu": ""}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def oracle_run(
    cell, T=7, B=4, inputs=3, H=5, *, projection=0, lengths=None, reverse=False, seed=0, scale=1.0
):
    """x, h0, c0, params, the oracle's run, and its gates as arrays [T, B, H] (zero beyond the lengths)."""
    rng = np.random.default_rng(seed)
    params = random_params(rng, CELLS[cell].gates, inputs, H, projection=projection)
    params = Params(*(None if p is None else p * scale for p in params))
    x = rng.normal(size=(T, B, inputs))
    h0 = np.tanh(rng.normal(size=(B, projection or H)))
    c0 = rng.normal(size=(B, H)) if cell == "lstm" else None
    lengths = None if lengths is None else np.asarray(lengths)
    made = run(cell, x, h0, c0, params, lengths, reverse=reverse)
    gates = {name: np.zeros((T, B, H)) for name in GATES[cell]}
    for t, rows, happened in made.tape.steps:
        for name in gates:
            gates[name][t, rows] = happened[name]
    return x, h0, c0, params, made, gates


def oracle_trace(cell="lstm", dtype=torch.float64, *, lengths=None, reverse=False, projection=0, **options):
    """A LayerTrace holding the oracle's own gates and states."""
    _, h0, c0, params, made, gates = oracle_run(
        cell, lengths=lengths, reverse=reverse, projection=projection, **options
    )

    def tensor(a):
        return None if a is None else torch.tensor(a, dtype=dtype)

    return LayerTrace(
        path="net.rnn",
        layer=0,
        direction="reverse" if reverse else "forward",
        cell=cell,
        gates={name: tensor(gate) for name, gate in gates.items()},
        h=tensor(made.h_seq),
        h0=tensor(h0),
        c=tensor(made.c_seq),
        c0=tensor(c0),
        lengths=None if lengths is None else torch.tensor(lengths),
        w_hr=tensor(params.w_hr),
    )


def order(lt, row):
    """The time indices of a row in the order in which the layer ran them."""
    steps = range(int(lt.full_lengths()[row]))
    return list(reversed(steps)) if lt.reverse else list(steps)


def keep_and_written(lt):
    """What the memory keeps and what is written into it, [T, B, H] float64, from the papers' equations."""
    g = {name: gate.double().numpy() for name, gate in lt.gates.items()}
    return (g["f"], g["i"] * g["g"]) if lt.cell == "lstm" else (g["z"], (1 - g["z"]) * g["n"])


def retention_by_products(lt, row, unit, position):
    """R[at, s] of one unit for every step s up to the target (its position in the row's order), and of the start.

    Every product is taken afresh, factor by factor.
    """
    keep, _ = keep_and_written(lt)
    steps = order(lt, row)[: position + 1]
    shares = {}
    for k, s in enumerate(steps):
        shares[s] = float(np.prod([keep[r, row, unit] for r in steps[k + 1 :]]))
    start = float(np.prod([keep[r, row, unit] for r in steps]))
    return shares, start
