"""Layer-wise relevance propagation through recurrent layers.

Source: Arras, Montavon, Müller & Samek 2017, "Explaining recurrent neural network predictions in sentiment analysis",
section 3: the ε-rule for what is linear, and of a product of a gate and a signal all relevance to the signal
("signal-take-all"). Biases and ε keep their share, as in Arras et al. 2019, "Explaining and interpreting LSTMs".
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.product import product
from gatewise.kernels.weights import Weights
from gatewise.memory.additive import additive
from gatewise.memory.attribution.case import Case, Shares, refuse_variants
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.places import Key
from gatewise.memory.states import before

EPSILON = 1e-3
CANDIDATE = {
    "lstm": 2,
    "gru": 2,
    "gru_reset_before": 2,
    "rnn_tanh": 0,
    "rnn_relu": 0,
}  # its block in the weights' rows


def shares(case: Case) -> Shares:
    """The relevance of every variable of the module's input; what reaches the initial states stands in `rest`.

    The head is read by its readout, `a_t⊙v⊙h_t`, without ε; then from the top layer down.
    """
    refuse_variants(case, "lrp")
    call, rest = case.call, case.readout.constant
    of_h: dict[Key, Tensor] = {
        key: weights.double() * case.readout.traces[key].h.double()
        for key, weights in case.readout.weights.items()
    }
    of_x = torch.zeros_like(call.x, dtype=torch.float64)
    for layer in range(call.top, -1, -1):
        x = call.input_of(layer).double()
        of_x = torch.zeros_like(x)
        for key in call.keys(layer):
            from_here, initial = _sweep(call.traces[key], x, call.weights[key], of_h[key])
            of_x, rest = of_x + from_here, rest + initial
        if layer > 0:
            below = call.keys(layer - 1)
            of_h = dict(zip(below, of_x.chunk(len(below), dim=-1), strict=True))
    return Shares(of_x.sum(-1), rest, of_x)


class _Rules(NamedTuple):
    """What relevance is multiplied by on its way through one step; float64.

    Shape: kept [T, B, H], from the memory (c of an LSTM, else h) to the memory before it; candidate [T, B, H], from the
    memory to R/z of the candidate's pre-activation z; w [H, I] and u [H, P], the candidate's rows; after_u [T, B, H],
    the gate that u's product passes, or None; seen [T, B, P], what u reads.
    """

    kept: Tensor
    candidate: Tensor
    w: Tensor
    u: Tensor
    after_u: Tensor | None
    seen: Tensor


def _rules(lt: LayerTrace, x: Tensor, w: Weights) -> _Rules:
    hidden = w.hidden_size
    block = slice(CANDIDATE[lt.cell] * hidden, (CANDIDATE[lt.cell] + 1) * hidden)
    w_n, u_n = w.w_ih[block], w.w_hh[block]
    b_n, b_u = (None, None) if w.b_ih is None or w.b_hh is None else (w.b_ih[block], w.b_hh[block])
    seen = before(lt.h.double(), lt.h0.double(), lt.lengths, lt.borders, reverse=lt.reverse)
    after_u = None
    if lt.cell == "gru_reset_before":
        seen = lt.r.double() * seen
    of_u = product(seen, u_n, b_u)
    if lt.cell == "gru":
        after_u = lt.r.double()
        of_u = after_u * of_u
    pre = product(x, w_n, b_n) + of_u  # [T, B, H]
    if not lt.gates:  # a plain RNN: h is the candidate, and nothing is kept
        return _Rules(torch.zeros_like(pre), 1 / _stable(pre), w_n, u_n, after_u, seen)
    memory = additive(lt)
    content = memory.content.double()
    old = before(content, memory.initial, lt.lengths, lt.borders, reverse=lt.reverse)
    stable = _stable(content)
    candidate = memory.written / (stable * _stable(pre))
    return _Rules(memory.keep * old / stable, candidate, w_n, u_n, after_u, seen)


def _stable(z: Tensor) -> Tensor:
    """The denominator of the ε-rule, `z + ε·sign(z)`, with the sign of 0 taken as 1."""
    return torch.where(z < 0, z - EPSILON, z + EPSILON)


def _sweep(lt: LayerTrace, x: Tensor, weights: Weights, of_h: Tensor) -> tuple[Tensor, Tensor]:
    """From the relevance of h [T, B, P] to that of x [T, B, I] and of the initial states [B]."""
    rules = _rules(lt, x, weights.to(torch.float64))
    per_z = torch.zeros_like(rules.candidate)  # R/z
    carried_h = of_h.new_zeros(of_h.shape[1:])  # [B, P]
    carried_c = of_h.new_zeros(rules.kept.shape[1:])  # [B, H], of an LSTM
    initial, first = of_h.new_zeros(of_h.shape[1]), lt.first_steps()
    for t in range(len(x)) if lt.reverse else reversed(range(len(x))):
        of_memory = _of_memory(lt, t, of_h[t] + carried_h) + carried_c
        per_z[t] = of_memory * rules.candidate[t]
        through_u = per_z[t] if rules.after_u is None else per_z[t] * rules.after_u[t]
        carried_h, kept = rules.seen[t] * (through_u @ rules.u), of_memory * rules.kept[t]
        if lt.cell == "lstm":
            carried_c = kept
        elif lt.gates:
            carried_h = carried_h + kept
        entered = first == t
        initial = initial + torch.where(entered, carried_h.sum(-1) + carried_c.sum(-1), 0.0)
        # What lies beyond the length of a reverse row is not before it.
        carried_h, carried_c = (r.masked_fill(entered[:, None], 0) for r in (carried_h, carried_c))
    return x.masked_fill(~lt.valid()[..., None], 0) * (per_z @ rules.w), initial


def _of_memory(lt: LayerTrace, t: int, of_h: Tensor) -> Tensor:
    """The relevance of the memory [B, H] from that of h_t [B, P]: all of it, or the ε-rule through a projection."""
    if lt.w_hr is None or lt.c is None:
        return of_h
    read = lt.o[t].double() * lt.c[t].double().tanh()
    return read * ((of_h / _stable(lt.h[t].double())) @ lt.w_hr.double())
