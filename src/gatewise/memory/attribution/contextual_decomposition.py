"""Contextual decomposition: what of an LSTM's answer comes from a phrase, and what from all the rest.

Source: Murdoch, Liu & Yu 2018, "Beyond word importance: contextual decomposition to extract interactions from LSTMs",
section 3. Biases come first in every order over which an activation is averaged, the output gate is not split, and the
product of two biases belongs to the phrase at its steps, as in the authors' own code. Initial states are not of the
phrase.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.kernels.product import product
from gatewise.kernels.weights import Weights
from gatewise.memory.attribution.case import Case, Shares, case_of, in_eval, refuse_cells, refuse_variants
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.readout import Target
from gatewise.memory.states import before

ROWS = 1024  # phrases × rows that are decomposed at a time, to bound the memory


class PhraseShare(NamedTuple):
    """What of an answer comes from a phrase: `phrase + rest + constant + residual = value`.

    Shape: phrase, rest, constant, value, residual [B] float64. constant is the readout's, the bias of a linear head;
    residual is rounding.
    """

    phrase: Tensor
    rest: Tensor
    constant: Tensor
    value: Tensor
    residual: Tensor


def decompose_phrase(
    model: nn.Module, inputs: Any, target: Target, phrase: Tensor, *, at: str | None = None
) -> PhraseShare:
    """How much of an answer comes from a phrase, its inner interactions included, by contextual decomposition.

    Args:
        model, inputs, target, at: as in `attribute`; an LSTM of one layer, of one or two directions.
        phrase: bool, True at the steps of the phrase, [T] for all rows or [T, B].

    Raises:
        UsageError: another cell, a variant, resets, several layers; a phrase of another shape or dtype.
    """
    with in_eval(model), torch.inference_mode(False), torch.no_grad():
        case = case_of(model, inputs, target, at=at)
        _refuse(case)
        of_phrase, of_rest = (part[0] for part in _decompose(case, _marked(case, phrase)[None]))
    value, constant = case.readout.value, case.readout.constant
    return PhraseShare(of_phrase, of_rest, constant, value, value - constant - of_phrase - of_rest)


def _marked(case: Case, phrase: Tensor) -> Tensor:
    """The phrase as [T, B]."""
    steps, batch = case.call.x.shape[:2]
    if phrase.shape not in ((steps,), (steps, batch)) or phrase.dtype != torch.bool:
        raise UsageError(
            f"phrase is {phrase.dtype} {list(phrase.shape)}; it takes bool [{steps}] or [{steps}, {batch}]"
        )
    phrase = phrase.to(case.call.x.device)
    return phrase[:, None].expand(steps, batch) if phrase.dim() == 1 else phrase


def shares(case: Case) -> Shares:
    """Every step as a phrase of its own; the head's constant belongs to none of them."""
    _refuse(case)
    steps, batch = case.call.x.shape[:2]
    alone = torch.eye(steps, dtype=torch.bool, device=case.call.x.device)
    size = max(1, ROWS // max(1, batch))
    parts = [
        _decompose(case, some[..., None].expand(-1, -1, batch))[0] for some in alone.split(size) if len(some)
    ]
    scores = torch.cat(parts) if parts else case.readout.value.new_zeros(0, batch)
    return Shares(scores.masked_fill(~case.valid(), 0), case.readout.constant)


def _refuse(case: Case) -> None:
    refuse_cells(case, "cd", ("lstm",), "its equations split the gates and the cell state of an LSTM")
    refuse_variants(case, "cd")
    layers = case.call.top + 1
    if layers > 1:
        raise UsageError(f"{case.label}: cd is defined for an LSTM of one layer, and this one has {layers}")


def _decompose(case: Case, phrases: Tensor) -> tuple[Tensor, Tensor]:
    """What the phrases [N, T, B] and what their rests add to the answer, each [N, B], over the directions."""
    whole: list[Tensor] = []
    for key, weights in case.readout.weights.items():
        lt, w = case.call.traces[key], case.call.weights[key].to(torch.float64)
        whole.append(_sweep(lt, case.call.x.double(), w, weights.double(), phrases))
    of_phrase, of_rest = torch.stack(whole).sum(0)
    return of_phrase, of_rest


def _states_before(lt: LayerTrace, t: int | None) -> tuple[Tensor, Tensor]:
    """h [B, P] and c [B, H] that step t started from, in float64; the initial ones for None, or a row without it."""
    assert lt.c is not None and lt.c0 is not None
    initial = lt.h0.double(), lt.c0.double()
    if t is None:
        return initial
    h, c = (
        torch.where(
            lt.valid()[t][:, None], before(states, first, lt.lengths, None, reverse=lt.reverse)[t], first
        )
        for states, first in zip((lt.h.double(), lt.c.double()), initial, strict=True)
    )
    return h, c


class _Parts(NamedTuple):
    """A sum of three parts: of the phrase, of the rest, of the biases."""

    phrase: Tensor
    rest: Tensor
    bias: Tensor


def _sweep(lt: LayerTrace, x: Tensor, w: Weights, reading: Tensor, phrases: Tensor) -> Tensor:
    """Through one direction: the readings of the phrase's h and of the rest's, [2, N, B]."""
    count, steps, batch = phrases.shape
    of_x = product(x, w.w_ih)  # [T, B, 4H]
    bias = of_x.new_zeros(of_x.shape[-1]) if w.b_ih is None or w.b_hh is None else w.b_ih + w.b_hh
    valid = lt.valid()
    order = list(reversed(range(steps)) if lt.reverse else range(steps))
    marked = phrases.any(0).any(-1).tolist()
    start = next((k for k, t in enumerate(order) if marked[t]), steps)
    # Phrase and rest along the first axis. Before any phrase begins, all is of the rest: as the layer itself ran.
    h, c = (
        torch.stack([torch.zeros_like(old), old])[:, None].expand(2, count, batch, -1)
        for old in _states_before(lt, order[start] if start < steps else None)
    )
    found = of_x.new_zeros(2, count, batch)
    found[1] = sum((lt.h[t].double() * reading[t]).sum(-1) for t in order[:start])
    for t in order[start:]:
        inside = phrases[:, t, :, None]  # [N, B, 1]
        new_h, new_c = _step(of_x[t], h, c, w, bias, inside, lt.o[t].double())
        h, c = (torch.where(valid[t][:, None], new, old) for new, old in ((new_h, h), (new_c, c)))
        found = found + (h * reading[t]).sum(-1)
    return found


def _step(
    of_x: Tensor, h: Tensor, c: Tensor, w: Weights, bias: Tensor, inside: Tensor, o: Tensor
) -> tuple[Tensor, Tensor]:
    """One step; h [2, N, B, P] and c [2, N, B, H] hold the phrase's part and the rest's."""
    pre = h @ w.w_hh.T + torch.stack([of_x * inside, of_x * ~inside])  # [2, N, B, 4H]
    i_pre, f_pre, g_pre, _ = pre.chunk(4, dim=-1)
    b_i, b_f, b_g, _ = bias.chunk(4)
    i, f, g = (
        _three(i_pre, b_i, torch.sigmoid),
        _three(f_pre, b_f, torch.sigmoid),
        _three(g_pre, b_g, torch.tanh),
    )
    of_phrase = i.phrase * (g.phrase + g.bias) + i.bias * g.phrase
    of_rest = i.rest * (g.phrase + g.rest + g.bias) + (i.phrase + i.bias) * g.rest
    of_biases = i.bias * g.bias
    kept = (f.phrase + f.bias) * c[0]
    kept_rest = (f.phrase + f.rest + f.bias) * c[1] + f.rest * c[0]
    new_c = torch.stack([kept + of_phrase + of_biases * inside, kept_rest + of_rest + of_biases * ~inside])
    tanh_c = _two(new_c)
    read = o * tanh_c
    return (read if w.w_hr is None else read @ w.w_hr.T), new_c


def _three(pre: Tensor, bias: Tensor, act: Any) -> _Parts:
    """L of phrase, rest and bias: the bias first, then the mean over both orders of the other two."""
    a, b = pre
    whole, start = act(a + b + bias), act(bias)
    with_a, with_b = act(a + bias), act(b + bias)
    of_a, of_b = (with_a - start) + (whole - with_b), (with_b - start) + (whole - with_a)
    return _Parts(of_a / 2, of_b / 2, start)


def _two(c: Tensor) -> Tensor:
    """tanh of a sum of two parts, as the sum of what each adds, the mean over both orders."""
    a, b = c.tanh()
    whole = (c[0] + c[1]).tanh()
    return torch.stack([a + (whole - b), b + (whole - a)]) / 2
