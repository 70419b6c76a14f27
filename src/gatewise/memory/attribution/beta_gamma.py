"""Beta and gamma: an LSTM's answer as a telescoping sum over the steps of what its output gate reads.

Source: Murdoch & Szlam 2017, "Automatic rule extraction from long short term memory networks", section 3. There the
answer reads the last state; here each reading is shared out in the same way, and the shares are summed.
"""

from torch import Tensor

from gatewise.memory.additive import one_hot, read_back
from gatewise.memory.attribution.case import Case, Shares, refuse_cells, refuse_variants, total
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.places import Key
from gatewise.memory.states import before

LSTM_ONLY = "it takes differences of the tanh(c) that an output gate reads, and only an LSTM has them"


def beta(case: Case) -> Shares:
    """`β_s = Σ_{t≥s} a_t⊙v⊙o_t · (tanh c_s - tanh c_{s-1})`, summed over the units and the top layer's directions."""
    _refuse(case, "beta")
    return _with_constant(case, [_beta(*_reading(case, key)) for key in case.readout.weights])


def gamma(case: Case) -> Shares:
    """`γ_s = Σ_{t≥s} a_t⊙v⊙o_t · (tanh(R[t,s]⊙c_s) - tanh(R[t,s-1]⊙c_{s-1}))`; one sweep for each t that is read."""
    _refuse(case, "gamma")
    return _with_constant(case, [_gamma(*_reading(case, key)) for key in case.readout.weights])


def _refuse(case: Case, method: str) -> None:
    refuse_cells(case, method, ("lstm",), LSTM_ONLY)
    refuse_variants(case, method)


def _with_constant(case: Case, parts: list[Shares]) -> Shares:
    summed = total(parts)
    return summed._replace(rest=summed.rest + case.readout.constant)


def _reading(case: Case, key: Key) -> tuple[LayerTrace, Tensor]:
    """A direction of the top layer, and how its tanh(c) is read: a_t⊙v⊙o_t [T, B, H] float64."""
    lt, weights = case.readout.traces[key], case.readout.weights[key].double()
    return lt, (weights if lt.w_hr is None else weights @ lt.w_hr.double()) * lt.o.double()


def _beta(lt: LayerTrace, reading: Tensor) -> Shares:
    c, old, initial = _cell_states(lt)
    # A step counts in every reading that comes after it, whatever the forget gates do: keep = 1.
    stays = lt.valid()[..., None].to(reading.dtype).expand_as(reading)
    later, all_of_them = read_back(lt, stays, reading)
    scores = (later * (c.tanh() - old.tanh())).sum(-1)
    return Shares(scores, (all_of_them * initial.tanh()).sum(-1))


def _gamma(lt: LayerTrace, reading: Tensor) -> Shares:
    c, old, initial = _cell_states(lt)
    f = lt.f.double()
    scores, rest = reading.new_zeros(reading.shape[:2]), reading.new_zeros(reading.shape[1])
    for t in reading.abs().sum((1, 2)).nonzero()[:, 0]:
        here = one_hot(lt, t.expand(c.shape[1], 1)) * lt.valid()[..., None]  # [T, B, 1]
        kept, of_initial = read_back(lt, f, here.expand_as(f))  # R[t, s], zero for s after t
        moved = (kept * c).tanh() - (kept * f * old).tanh()
        scores = scores + (reading[t] * moved).sum(-1)
        rest = rest + (reading[t] * (of_initial * initial).tanh()).sum(-1)
    return Shares(scores, rest)


def _cell_states(lt: LayerTrace) -> tuple[Tensor, Tensor, Tensor]:
    """c_s and c_{s-1} [T, B, H] and c_0 [B, H], float64; both zero beyond the lengths."""
    assert lt.c is not None and lt.c0 is not None
    c, initial = lt.c.double(), lt.c0.double()
    old = before(c, initial, lt.lengths, lt.borders, reverse=lt.reverse)
    return c, old.masked_fill(~lt.valid()[..., None], 0), initial
