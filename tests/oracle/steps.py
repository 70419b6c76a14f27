"""One step of each cell and its derivative, gate by gate.

Sources: GRU, Cho et al. 2014 (reset before the product) and cuDNN's form (after it); plain RNN, Elman 1990; recurrent
dropout on h, Gal & Ghahramani 2016. The LSTM has a file of its own.

A forward step takes (x, h, c, params, step) and returns everything that happened, by name. A backward step takes what
the forward step returned with the derivatives of h and c, and returns those of x, the old h, the old c and the
parameters. `step` holds the step's variants and masks; left out, it is the plain cell.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from oracle import lstm
from oracle.lstm import Happened, sigmoid
from oracle.parameters import Array, Params
from oracle.variation import Step

PLAIN = Step()


class StepGradients(NamedTuple):
    x: Array
    h: Array
    c: Array | None
    params: Params


class OracleCell(NamedTuple):
    gates: int
    has_c: bool
    forward: Callable[..., Happened]
    backward: Callable[..., StepGradients]


def _of_x(x: Array, gate: Params) -> Array:
    return x @ gate.w_ih.T + (0.0 if gate.b_ih is None else gate.b_ih)


def _of_h(h: Array, gate: Params) -> Array:
    return h @ gate.w_hh.T + (0.0 if gate.b_hh is None else gate.b_hh)


def _collect(x: Array, hs: list[Array], of_x: list[Array], of_h: list[Array], p: Params) -> Params:
    """Parameter gradients from the derivatives of `W x + b` and of `U h + b'`, gate by gate (h may differ)."""
    return Params(
        np.concatenate([a.T @ x for a in of_x]),
        np.concatenate([a.T @ h for a, h in zip(of_h, hs, strict=True)]),
        None if p.b_ih is None else np.concatenate([a.sum(0) for a in of_x]),
        None if p.b_hh is None else np.concatenate([a.sum(0) for a in of_h]),
    )


def _lstm(x: Array, h: Array, c: Array, p: Params, step: Step = PLAIN) -> Happened:
    return lstm.forward(x, h, c, p, step)


def _lstm_back(s: Happened, p: Params, dh: Array, dc: Array, step: Step = PLAIN) -> StepGradients:
    return StepGradients(*lstm.backward(s, p, dh, dc, step))


def _gru(x: Array, h: Array, _c: Array | None, p: Params, step: Step = PLAIN) -> Happened:
    reset, update, candidate = p.blocks(3)
    seen = h * step.drop_h
    r = sigmoid(_of_x(x, reset) + _of_h(seen, reset))
    z = sigmoid(_of_x(x, update) + _of_h(seen, update))
    inner = _of_h(seen, candidate)
    n = np.tanh(_of_x(x, candidate) + r * inner)
    return {
        "x": x,
        "h_old": h,
        "seen": seen,
        "r": r,
        "z": z,
        "inner": inner,
        "n": n,
        "h": (1 - z) * n + z * h,
    }


def _gru_back(s: Happened, p: Params, dh: Array, _dc: Array | None, step: Step = PLAIN) -> StepGradients:
    reset, update, candidate = p.blocks(3)
    da_n = dh * (1 - s["z"]) * (1 - s["n"] ** 2)
    da_z = dh * (s["h_old"] - s["n"]) * s["z"] * (1 - s["z"])
    da_r = da_n * s["inner"] * s["r"] * (1 - s["r"])
    d_inner = da_n * s["r"]
    dx = da_r @ reset.w_ih + da_z @ update.w_ih + da_n @ candidate.w_ih
    d_seen = da_r @ reset.w_hh + da_z @ update.w_hh + d_inner @ candidate.w_hh
    dh_old = dh * s["z"] + d_seen * step.drop_h
    params = _collect(s["x"], [s["seen"]] * 3, [da_r, da_z, da_n], [da_r, da_z, d_inner], p)
    return StepGradients(dx, dh_old, None, params)


def _gru_reset_before(x: Array, h: Array, _c: Array | None, p: Params, step: Step = PLAIN) -> Happened:
    reset, update, candidate = p.blocks(3)
    seen = h * step.drop_h
    r = sigmoid(_of_x(x, reset) + _of_h(seen, reset))
    z = sigmoid(_of_x(x, update) + _of_h(seen, update))
    n = np.tanh(_of_x(x, candidate) + _of_h(r * seen, candidate))
    return {"x": x, "h_old": h, "seen": seen, "r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}


def _gru_reset_before_back(
    s: Happened, p: Params, dh: Array, _dc: Array | None, step: Step = PLAIN
) -> StepGradients:
    reset, update, candidate = p.blocks(3)
    seen = s["seen"]
    da_n = dh * (1 - s["z"]) * (1 - s["n"] ** 2)
    da_z = dh * (s["h_old"] - s["n"]) * s["z"] * (1 - s["z"])
    d_kept = da_n @ candidate.w_hh  # derivative of r ⊙ the h that is seen
    da_r = d_kept * seen * s["r"] * (1 - s["r"])
    dx = da_r @ reset.w_ih + da_z @ update.w_ih + da_n @ candidate.w_ih
    d_seen = d_kept * s["r"] + da_r @ reset.w_hh + da_z @ update.w_hh
    dh_old = dh * s["z"] + d_seen * step.drop_h
    params = _collect(s["x"], [seen, seen, s["r"] * seen], [da_r, da_z, da_n], [da_r, da_z, da_n], p)
    return StepGradients(dx, dh_old, None, params)


def _rnn_tanh(x: Array, h: Array, _c: Array | None, p: Params, step: Step = PLAIN) -> Happened:
    seen = h * step.drop_h
    return {"x": x, "seen": seen, "h": np.tanh(_of_x(x, p) + _of_h(seen, p))}


def _rnn_tanh_back(s: Happened, p: Params, dh: Array, _dc: Array | None, step: Step = PLAIN) -> StepGradients:
    return _rnn_back(s, p, dh * (1 - s["h"] ** 2), step)


def _rnn_relu(x: Array, h: Array, _c: Array | None, p: Params, step: Step = PLAIN) -> Happened:
    seen = h * step.drop_h
    return {"x": x, "seen": seen, "h": np.maximum(_of_x(x, p) + _of_h(seen, p), 0.0)}


def _rnn_relu_back(s: Happened, p: Params, dh: Array, _dc: Array | None, step: Step = PLAIN) -> StepGradients:
    return _rnn_back(s, p, np.where(s["h"] > 0, dh, 0.0), step)


def _rnn_back(s: Happened, p: Params, da: Array, step: Step) -> StepGradients:
    params = _collect(s["x"], [s["seen"]], [da], [da], p)
    return StepGradients(da @ p.w_ih, da @ p.w_hh * step.drop_h, None, params)


CELLS: dict[str, OracleCell] = {
    "lstm": OracleCell(4, True, _lstm, _lstm_back),
    "gru": OracleCell(3, False, _gru, _gru_back),
    "gru_reset_before": OracleCell(3, False, _gru_reset_before, _gru_reset_before_back),
    "rnn_tanh": OracleCell(1, False, _rnn_tanh, _rnn_tanh_back),
    "rnn_relu": OracleCell(1, False, _rnn_relu, _rnn_relu_back),
}
