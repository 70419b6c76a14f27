"""One step of each cell and its derivative, gate by gate.

Sources: LSTM, Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000 and the
projection of Sak, Senior & Beaufays 2014; GRU, Cho et al. 2014 (reset before the product) and cuDNN's form (after
it); plain RNN, Elman 1990.

A forward step takes (x, h, c, params) and returns everything that happened, by name. A backward step takes what the
forward step returned with the derivatives of h and c, and returns those of x, the old h, the old c and the parameters.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from oracle.parameters import Array, Params

Happened = dict[str, Array]


class StepGradients(NamedTuple):
    x: Array
    h: Array
    c: Array | None
    params: Params


class OracleCell(NamedTuple):
    gates: int
    has_c: bool
    forward: Callable[[Array, Array, Array | None, Params], Happened]
    backward: Callable[[Happened, Params, Array, Array | None], StepGradients]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def _of_x(x: Array, gate: Params) -> Array:
    return x @ gate.w_ih.T + (0.0 if gate.b_ih is None else gate.b_ih)


def _of_h(h: Array, gate: Params) -> Array:
    return h @ gate.w_hh.T + (0.0 if gate.b_hh is None else gate.b_hh)


def _collect(
    x: Array, hs: list[Array], of_x: list[Array], of_h: list[Array], p: Params, w_hr: Array | None = None
) -> Params:
    """Parameter gradients from the derivatives of `W x + b` and of `U h + b'`, gate by gate (h may differ)."""
    return Params(
        np.concatenate([a.T @ x for a in of_x]),
        np.concatenate([a.T @ h for a, h in zip(of_h, hs, strict=True)]),
        None if p.b_ih is None else np.concatenate([a.sum(0) for a in of_x]),
        None if p.b_hh is None else np.concatenate([a.sum(0) for a in of_h]),
        w_hr,
    )


def _lstm(x: Array, h: Array, c: Array | None, p: Params) -> Happened:
    assert c is not None
    input_gate, forget_gate, candidate, output_gate = p.blocks(4)
    i = sigmoid(_of_x(x, input_gate) + _of_h(h, input_gate))
    f = sigmoid(_of_x(x, forget_gate) + _of_h(h, forget_gate))
    g = np.tanh(_of_x(x, candidate) + _of_h(h, candidate))
    o = sigmoid(_of_x(x, output_gate) + _of_h(h, output_gate))
    new_c = f * c + i * g
    read = o * np.tanh(new_c)
    new_h = read if p.w_hr is None else read @ p.w_hr.T
    return {
        "x": x,
        "h_old": h,
        "c_old": c,
        "i": i,
        "f": f,
        "g": g,
        "o": o,
        "c": new_c,
        "read": read,
        "h": new_h,
    }


def _lstm_back(s: Happened, p: Params, dh: Array, dc: Array | None) -> StepGradients:
    assert dc is not None
    d_read = dh if p.w_hr is None else dh @ p.w_hr
    d_w_hr = None if p.w_hr is None else dh.T @ s["read"]
    tanh_c = np.tanh(s["c"])
    dc = dc + d_read * s["o"] * (1 - tanh_c**2)
    da = [
        dc * s["g"] * s["i"] * (1 - s["i"]),
        dc * s["c_old"] * s["f"] * (1 - s["f"]),
        dc * s["i"] * (1 - s["g"] ** 2),
        d_read * tanh_c * s["o"] * (1 - s["o"]),
    ]
    dx = np.concatenate(da, axis=1) @ p.w_ih
    dh_old = np.concatenate(da, axis=1) @ p.w_hh
    return StepGradients(dx, dh_old, dc * s["f"], _collect(s["x"], [s["h_old"]] * 4, da, da, p, d_w_hr))


def _gru(x: Array, h: Array, _c: Array | None, p: Params) -> Happened:
    reset, update, candidate = p.blocks(3)
    r = sigmoid(_of_x(x, reset) + _of_h(h, reset))
    z = sigmoid(_of_x(x, update) + _of_h(h, update))
    inner = _of_h(h, candidate)
    n = np.tanh(_of_x(x, candidate) + r * inner)
    return {"x": x, "h_old": h, "r": r, "z": z, "inner": inner, "n": n, "h": (1 - z) * n + z * h}


def _gru_back(s: Happened, p: Params, dh: Array, _dc: Array | None) -> StepGradients:
    reset, update, candidate = p.blocks(3)
    da_n = dh * (1 - s["z"]) * (1 - s["n"] ** 2)
    da_z = dh * (s["h_old"] - s["n"]) * s["z"] * (1 - s["z"])
    da_r = da_n * s["inner"] * s["r"] * (1 - s["r"])
    d_inner = da_n * s["r"]
    dx = da_r @ reset.w_ih + da_z @ update.w_ih + da_n @ candidate.w_ih
    dh_old = dh * s["z"] + da_r @ reset.w_hh + da_z @ update.w_hh + d_inner @ candidate.w_hh
    params = _collect(s["x"], [s["h_old"]] * 3, [da_r, da_z, da_n], [da_r, da_z, d_inner], p)
    return StepGradients(dx, dh_old, None, params)


def _gru_reset_before(x: Array, h: Array, _c: Array | None, p: Params) -> Happened:
    reset, update, candidate = p.blocks(3)
    r = sigmoid(_of_x(x, reset) + _of_h(h, reset))
    z = sigmoid(_of_x(x, update) + _of_h(h, update))
    n = np.tanh(_of_x(x, candidate) + _of_h(r * h, candidate))
    return {"x": x, "h_old": h, "r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}


def _gru_reset_before_back(s: Happened, p: Params, dh: Array, _dc: Array | None) -> StepGradients:
    reset, update, candidate = p.blocks(3)
    h = s["h_old"]
    da_n = dh * (1 - s["z"]) * (1 - s["n"] ** 2)
    da_z = dh * (h - s["n"]) * s["z"] * (1 - s["z"])
    d_kept = da_n @ candidate.w_hh  # derivative of r ⊙ h
    da_r = d_kept * h * s["r"] * (1 - s["r"])
    dx = da_r @ reset.w_ih + da_z @ update.w_ih + da_n @ candidate.w_ih
    dh_old = dh * s["z"] + d_kept * s["r"] + da_r @ reset.w_hh + da_z @ update.w_hh
    params = _collect(s["x"], [h, h, s["r"] * h], [da_r, da_z, da_n], [da_r, da_z, da_n], p)
    return StepGradients(dx, dh_old, None, params)


def _rnn_tanh(x: Array, h: Array, _c: Array | None, p: Params) -> Happened:
    return {"x": x, "h_old": h, "h": np.tanh(_of_x(x, p) + _of_h(h, p))}


def _rnn_tanh_back(s: Happened, p: Params, dh: Array, _dc: Array | None) -> StepGradients:
    da = dh * (1 - s["h"] ** 2)
    return StepGradients(da @ p.w_ih, da @ p.w_hh, None, _collect(s["x"], [s["h_old"]], [da], [da], p))


def _rnn_relu(x: Array, h: Array, _c: Array | None, p: Params) -> Happened:
    return {"x": x, "h_old": h, "h": np.maximum(_of_x(x, p) + _of_h(h, p), 0.0)}


def _rnn_relu_back(s: Happened, p: Params, dh: Array, _dc: Array | None) -> StepGradients:
    da = np.where(s["h"] > 0, dh, 0.0)
    return StepGradients(da @ p.w_ih, da @ p.w_hh, None, _collect(s["x"], [s["h_old"]], [da], [da], p))


CELLS: dict[str, OracleCell] = {
    "lstm": OracleCell(4, True, _lstm, _lstm_back),
    "gru": OracleCell(3, False, _gru, _gru_back),
    "gru_reset_before": OracleCell(3, False, _gru_reset_before, _gru_reset_before_back),
    "rnn_tanh": OracleCell(1, False, _rnn_tanh, _rnn_tanh_back),
    "rnn_relu": OracleCell(1, False, _rnn_relu, _rnn_relu_back),
}
