"""One step of an LSTM with its variants, and its derivative.

Sources: Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000; projection: Sak, Senior
& Beaufays 2014; peepholes: Gers & Schmidhuber 2000; coupled gates: Greff et al. 2017; layer normalisation: Ba, Kiros &
Hinton 2016; zoneout: Krueger et al. 2017, with h read from the zoned-out c; recurrent dropout: Gal & Ghahramani 2016
(h), Semeniuta, Severyn & Barth 2016 (g).
"""

import numpy as np

from oracle.parameters import Array, Params
from oracle.variation import Step, Variation

Happened = dict[str, Array]
Found = tuple[Array, Array, Array, Params]  # derivatives of x, the old h, the old c, the parameters


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def _normalise(v: Array) -> tuple[Array, Array]:
    """(v - mean) / deviation over each row, and 1 / deviation."""
    centred = v - v.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return centred * inverse, inverse


def _normalise_back(d: Array, normed: Array, inverse: Array) -> Array:
    return inverse * (d - d.mean(axis=1, keepdims=True) - normed * (d * normed).mean(axis=1, keepdims=True))


def _peepholes(p: Params, variation: Variation) -> dict[str, Array | float]:
    names = "fo" if variation.coupled else "ifo"
    if p.peephole is None:
        return dict.fromkeys(names, 0.0)
    return dict(zip(names, np.split(p.peephole, len(names)), strict=True))


def forward(x: Array, h: Array, c: Array, p: Params, step: Step) -> Happened:
    variation = step.variation
    s: Happened = {"x": x, "h_old": h, "c_old": c, "seen": h * step.drop_h}
    of_x, of_h = x @ p.w_ih.T, s["seen"] @ p.w_hh.T
    if variation.layer_norm:
        s["normed_x"], s["inverse_x"] = _normalise(of_x)
        s["normed_h"], s["inverse_h"] = _normalise(of_h)
        of_x, of_h = p.norm_ih * s["normed_x"], p.norm_hh * s["normed_h"]
    pre = of_x + of_h
    for bias in (p.b_ih, p.b_hh):
        pre = pre if bias is None else pre + bias
    names = "fgo" if variation.coupled else "ifgo"
    a = dict(zip(names, np.split(pre, len(names), axis=1), strict=True))
    peep = _peepholes(p, variation)
    f = sigmoid(a["f"] + peep["f"] * c)
    i = 1 - f if variation.coupled else sigmoid(a["i"] + peep["i"] * c)
    s["tanh_g"] = np.tanh(a["g"])
    g = s["tanh_g"] * step.drop_g
    new_c = step.keep_c * c + (1 - step.keep_c) * (f * c + i * g)
    o = sigmoid(a["o"] + peep["o"] * new_c)
    seen_c = new_c
    if variation.layer_norm:
        s["normed_c"], s["inverse_c"] = _normalise(new_c)
        seen_c = p.norm_c * s["normed_c"] + (0.0 if p.norm_c_bias is None else p.norm_c_bias)
    s["tanh_c"] = np.tanh(seen_c)
    s["read"] = o * s["tanh_c"]
    new_h = s["read"] if p.w_hr is None else s["read"] @ p.w_hr.T
    s |= {"i": i, "f": f, "g": g, "o": o, "c": new_c}
    s["h"] = step.keep_h * h + (1 - step.keep_h) * new_h
    return s


def backward(s: Happened, p: Params, dh: Array, dc: Array, step: Step) -> Found:
    variation, made = step.variation, p.like(np.zeros_like)._asdict()
    i, f, g, o, c_old = (s[name] for name in ("i", "f", "g", "o", "c_old"))
    peep = _peepholes(p, variation)
    dh_old, dh_new = step.keep_h * dh, (1 - step.keep_h) * dh
    d_read = dh_new if p.w_hr is None else dh_new @ p.w_hr
    if p.w_hr is not None:
        made["w_hr"] = dh_new.T @ s["read"]
    da = {"o": d_read * s["tanh_c"] * o * (1 - o)}
    d_seen_c = d_read * o * (1 - s["tanh_c"] ** 2)
    if variation.layer_norm:
        made["norm_c"] = (d_seen_c * s["normed_c"]).sum(0)
        if p.norm_c_bias is not None:
            made["norm_c_bias"] = d_seen_c.sum(0)
        d_seen_c = _normalise_back(d_seen_c * p.norm_c, s["normed_c"], s["inverse_c"])
    dc = dc + d_seen_c + da["o"] * peep["o"]
    dc_old, dc_new = step.keep_c * dc, (1 - step.keep_c) * dc
    da["g"] = dc_new * i * step.drop_g * (1 - s["tanh_g"] ** 2)
    if variation.coupled:
        da["f"] = dc_new * (c_old - g) * f * (1 - f)
    else:
        da["i"] = dc_new * g * i * (1 - i)
        da["f"] = dc_new * c_old * f * (1 - f)
    dc_old = dc_old + dc_new * f + sum(da[name] * peep[name] for name in peep if name != "o")
    if p.peephole is not None:
        sees = {name: s["c"] if name == "o" else c_old for name in peep}
        made["peephole"] = np.concatenate([(da[name] * sees[name]).sum(0) for name in peep])
    d_pre = np.concatenate([da[name] for name in ("fgo" if variation.coupled else "ifgo")], axis=1)
    for name in ("b_ih", "b_hh"):
        if getattr(p, name) is not None:
            made[name] = d_pre.sum(0)
    of_x = of_h = d_pre
    if variation.layer_norm:
        made["norm_ih"] = (d_pre * s["normed_x"]).sum(0)
        made["norm_hh"] = (d_pre * s["normed_h"]).sum(0)
        of_x = _normalise_back(d_pre * p.norm_ih, s["normed_x"], s["inverse_x"])
        of_h = _normalise_back(d_pre * p.norm_hh, s["normed_h"], s["inverse_h"])
    made["w_ih"], made["w_hh"] = of_x.T @ s["x"], of_h.T @ s["seen"]
    dh_old = dh_old + (of_h @ p.w_hh) * step.drop_h
    return of_x @ p.w_ih, dh_old, dc_old, Params(**made)
