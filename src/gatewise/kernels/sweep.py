"""Back-propagation through time in one sweep, from the gates of a finished run.

The element-wise derivatives of all steps are prepared at once; the sweep itself is one product with U and a few
element-wise operations a step; every weight gradient is one large product after it. Equations: Werbos 1990,
"Backpropagation through time"; for the LSTM as in Greff et al. 2017, appendix A.

`backward` gives the gradients of the inputs and the weights; `state_gradients` hands out what the sweep passes on its
way: the gradient by every state of every step.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.kernels.product import product
from gatewise.kernels.ragged import Layout, last_steps, layout, padding
from gatewise.kernels.replay import replay
from gatewise.kernels.weights import Weights


class OutputGrads(NamedTuple):
    """Gradients of a run's outputs; None where an output has none. Shapes as in `Result`."""

    h_seq: Tensor | None
    c_seq: Tensor | None
    h_n: Tensor | None
    c_n: Tensor | None


class InputGrads(NamedTuple):
    """Gradients of a run's inputs: x [T, B, I], h0 [B, P], c0 [B, H] or None, and the weights that exist."""

    x: Tensor
    h0: Tensor
    c0: Tensor | None
    weights: list[Tensor]


class StateGrads(NamedTuple):
    """Total derivatives by every state of a run: h [T, B, P], c [T, B, H] or None; and by its input.

    x is [T, B, I], or None where it was not asked for. Zero beyond each row's length.
    """

    h: Tensor
    c: Tensor | None
    x: Tensor | None


class _Run(NamedTuple):
    """A finished run with its rows sorted by falling length. gates [T, B, G*H], h_prev [T, B, P], c_* [T, B, H]."""

    gates: Tensor
    h_prev: Tensor
    c_prev: Tensor | None
    c_seq: Tensor | None
    weights: Weights
    plan: Layout
    reverse: bool

    def steps_back(self) -> list[tuple[int, int]]:
        """(t, rows that run at t), from the last step processed to the first."""
        forward = [(t, s.rows) for s in self.plan.segments for t in range(s.start, s.stop)]
        return forward if self.reverse else forward[::-1]


def _add(total: Tensor, part: Tensor | None, t: int, rows: int) -> Tensor:
    return total if part is None else total.add_(part[t, :rows])


def _less_square(s: Tensor, out: Tensor) -> Tensor:
    """s (1 - s), the derivative of σ by its pre-activation, with no cancellation where s is near 1."""
    return torch.sub(s.new_ones(()), s, out=out).mul_(s)


def _one_less_square(s: Tensor, out: Tensor) -> Tensor:
    """1 - s², the derivative of tanh."""
    return torch.sub(s.new_ones(()), torch.mul(s, s, out=out), out=out)


def _sweep_lstm(
    run: _Run, grads: OutputGrads, dh: Tensor, dc: Tensor, dc_seq: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """dL/da [T, B, 4H] for the pre-activations a and dL/dh [T, B, P]; dh and dc end as the initial state's.

    dL/dc is written into dc_seq [T, B, H] where one is given (zeros).
    """
    assert run.c_seq is not None and run.c_prev is not None
    i, f, g, o = run.gates.chunk(4, dim=-1)  # each [T, B, H]
    tanh_c = run.c_seq.tanh()
    T, B, H = tanh_c.shape
    from_read, from_c = tanh_c.new_empty(T, B, 2, H), tanh_c.new_empty(T, B, 3, H)
    _less_square(o, out=from_read[:, :, 0]).mul_(tanh_c)  # by a_o
    _one_less_square(tanh_c, out=from_read[:, :, 1]).mul_(o)  # by c, through h
    _less_square(i, out=from_c[:, :, 0]).mul_(g)  # by a_i
    _less_square(f, out=from_c[:, :, 1]).mul_(run.c_prev)  # by a_f
    _one_less_square(g, out=from_c[:, :, 2]).mul_(i)  # by a_g
    da = run.gates.new_zeros(T, B, 4, H)
    dh_seq = dh.new_zeros(T, *dh.shape)
    w_hh, w_hr = run.weights.w_hh, run.weights.w_hr
    for t, rows in run.steps_back():
        dh_t = _add(dh[:rows], grads.h_seq, t, rows)  # [rows, P]
        dh_seq[t, :rows] = dh_t
        dread = dh_t if w_hr is None else dh_t @ w_hr  # [rows, H]
        dc_t = _add(dc[:rows], grads.c_seq, t, rows).addcmul_(dread, from_read[t, :rows, 1])
        if dc_seq is not None:
            dc_seq[t, :rows] = dc_t
        torch.mul(from_c[t, :rows], dc_t[:, None], out=da[t, :rows, :3])
        torch.mul(from_read[t, :rows, 0], dread, out=da[t, :rows, 3])
        dc_t.mul_(f[t, :rows])
        dh[:rows] = da[t, :rows].flatten(1) @ w_hh
    return da.flatten(2), dh_seq


def _sweep_gru(
    run: _Run, grads: OutputGrads, dh: Tensor, dh_seq: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """dL/da [T, B, 3, H] at the recurrent side, and what the rows of n are at the input's side (without r), [T, B, H].

    dL/dh is written into dh_seq [T, B, H] where one is given (zeros); so in the sweeps below.
    """
    r, z, n = run.gates.chunk(3, dim=-1)  # each [T, B, H]
    T, B, H = r.shape
    b_n = None if run.weights.b_hh is None else run.weights.b_hh[2 * H :]
    u_n = torch.nn.functional.linear(run.h_prev, run.weights.w_hh[2 * H :], b_n)  # [T, B, H]
    k_n = _one_less_square(n, out=torch.empty_like(n)).mul_(1 - z)
    coefficients = z.new_empty(T, B, 3, H)  # da = coefficient * dh, recurrent side
    of_r, of_z, of_n = coefficients.unbind(2)
    torch.mul(k_n, r, out=of_n)
    _less_square(r, out=of_r).mul_(k_n).mul_(u_n)
    _less_square(z, out=of_z).mul_(run.h_prev - n)
    da_h = run.gates.new_zeros(T, B, 3, H)
    da_n = run.gates.new_zeros(T, B, H)
    for t, rows in run.steps_back():
        dh_t = _add(dh[:rows], grads.h_seq, t, rows)
        if dh_seq is not None:
            dh_seq[t, :rows] = dh_t
        torch.mul(coefficients[t, :rows], dh_t[:, None], out=da_h[t, :rows])
        torch.mul(k_n[t, :rows], dh_t, out=da_n[t, :rows])
        dh[:rows] = torch.addmm(dh_t * z[t, :rows], da_h[t, :rows].flatten(1), run.weights.w_hh)
    return da_h, da_n


def _at_input(da_h: Tensor, da_n: Tensor) -> Tensor:
    """dL/da [T, B, 3H] of a GRU at the input's side."""
    return torch.cat((da_h[:, :, :2].flatten(2), da_n), dim=-1)


def _sweep_gru_reset_before(run: _Run, grads: OutputGrads, dh: Tensor, dh_seq: Tensor) -> Tensor:
    """dL/da [T, B, 3H]; the product with U_n stands between da_n and da_r, so it is taken at every step."""
    r, z, n = run.gates.chunk(3, dim=-1)  # each [T, B, H]
    T, B, H = r.shape
    u_rz, u_n = run.weights.w_hh[: 2 * H], run.weights.w_hh[2 * H :]
    k_r, k_z, k_n = run.h_prev * r * (1 - r), (run.h_prev - n) * z * (1 - z), (1 - z) * (1 - n * n)
    da = run.gates.new_zeros(T, B, 3, H)
    for t, rows in run.steps_back():
        dh_t = _add(dh[:rows], grads.h_seq, t, rows)
        dh_seq[t, :rows] = dh_t
        torch.mul(k_n[t, :rows], dh_t, out=da[t, :rows, 2])
        dreset = da[t, :rows, 2] @ u_n  # by r⊙h_{t-1}, [rows, H]
        torch.mul(k_r[t, :rows], dreset, out=da[t, :rows, 0])
        torch.mul(k_z[t, :rows], dh_t, out=da[t, :rows, 1])
        direct = (dh_t * z[t, :rows]).addcmul_(r[t, :rows], dreset)
        dh[:rows] = torch.addmm(direct, da[t, :rows, :2].flatten(1), u_rz)
    return da.flatten(2)


def _sweep_rnn(run: _Run, grads: OutputGrads, dh: Tensor, relu: bool, dh_seq: Tensor | None = None) -> Tensor:
    """dL/da [T, B, H]."""
    h = run.gates
    slope = (h > 0).to(h.dtype) if relu else 1 - h * h
    da = torch.zeros_like(h)
    for t, rows in run.steps_back():
        dh_t = _add(dh[:rows], grads.h_seq, t, rows)
        if dh_seq is not None:
            dh_seq[t, :rows] = dh_t
        torch.mul(slope[t, :rows], dh_t, out=da[t, :rows])
        dh[:rows] = da[t, :rows] @ run.weights.w_hh
    return da


def _previous(states: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """What each step started from; `states` [T, B, *] is what it left, `first` [B, *] the initial state."""
    if not reverse:
        return torch.cat((first[None], states[:-1]))
    previous = torch.cat((states[1:], first[None]))
    if lengths is None:
        return previous
    return torch.where(last_steps(lengths, len(states)), first, previous)


def _previous_states(
    h: Tensor, h0: Tensor, c: Tensor | None, c0: Tensor | None, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor | None]:
    """h and c that each step started from."""
    c_prev = None if c is None or c0 is None else _previous(c, c0, lengths, reverse)
    return _previous(h, h0, lengths, reverse), c_prev


def _start(grads: OutputGrads, h0: Tensor, c0: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """dL/dh and dL/dc where the sweep begins: the final state's own gradients."""
    dh = torch.zeros_like(h0) if grads.h_n is None else grads.h_n.clone()
    dc = None if c0 is None else torch.zeros_like(c0) if grads.c_n is None else grads.c_n.clone()
    return dh, dc


def _weight_gradient(da: Tensor, inputs: Tensor) -> Tensor:
    """Σ_t da_tᵀ inputs_t."""
    return product(da.flatten(0, 1).t(), inputs.flatten(0, 1).t())


def backward(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None,
    h_seq: Tensor,
    grads: OutputGrads,
    *,
    reverse: bool,
) -> InputGrads:
    """Gradients of a run, from its inputs and its output h_seq [T, B, P] alone; the gates are replayed.

    Half-precision runs are swept in float32; gradients come back in the dtypes of the inputs.

    Raises:
        UsageError: the cell is "gru_reset_before", which only the naive backend runs.
    """
    if cell == "gru_reset_before":
        raise UsageError("gru_reset_before has no sweep; run it with the naive backend")
    T, B = x.shape[:2]
    dtype = torch.promote_types(x.dtype, torch.float32)
    plan = layout(lengths, T, B)

    def rows(tensor: Tensor | None, dim: int) -> Tensor | None:
        return None if tensor is None else plan.sort(tensor.to(dtype), dim)

    w = weights.to(dtype)
    x_, h_, h0_ = (plan.sort(t.to(dtype), d) for t, d in ((x, 1), (h_seq, 1), (h0, 0)))
    c0_ = rows(c0, 0)
    if lengths is not None:
        lengths = plan.sort(lengths, 0)
        x_ = x_.masked_fill(padding(lengths, T), 0)  # a NaN there must not reach a weight's gradient
    seen = replay(cell, x_, h_, h0_, c0_, w, lengths, reverse=reverse)
    h_prev, c_prev = _previous_states(h_, h0_, seen.c_seq, c0_, lengths, reverse)
    run = _Run(seen.gates, h_prev, c_prev, seen.c_seq, w, plan, reverse)
    out = OutputGrads(rows(grads.h_seq, 1), rows(grads.c_seq, 1), rows(grads.h_n, 0), rows(grads.c_n, 0))
    dh, dc = _start(out, h0_, c0_)

    da, da_h, dh_seq = _sweep(cell, run, out, dh, dc)
    dw = [_weight_gradient(da, x_), _weight_gradient(da_h, h_prev)]
    if w.b_ih is not None:
        dw += [da.sum((0, 1)), da_h.sum((0, 1))]
    if dh_seq is not None and seen.c_seq is not None and w.w_hr is not None:
        read = seen.gates[..., -w.hidden_size :] * seen.c_seq.tanh()  # [T, B, H]
        dw.append(_weight_gradient(dh_seq, read))
    return InputGrads(
        plan.unsort(product(da, w.w_ih.t()), 1).to(x.dtype),
        plan.unsort(dh, 0).to(h0.dtype),
        None if dc is None or c0 is None else plan.unsort(dc, 0).to(c0.dtype),
        [d.to(p.dtype) for d, p in zip(dw, weights.tensors(), strict=True)],
    )


def _sweep(
    cell: str, run: _Run, grads: OutputGrads, dh: Tensor, dc: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """dL/da at the input's and at the recurrent side [T, B, G*H], and dL/dh [T, B, P] of an LSTM."""
    if dc is not None:
        da, dh_seq = _sweep_lstm(run, grads, dh, dc)
        return da, da, dh_seq
    if cell == "gru":
        da_h, da_n = _sweep_gru(run, grads, dh)
        return _at_input(da_h, da_n), da_h.flatten(2), None
    da = _sweep_rnn(run, grads, dh, relu=cell == "rnn_relu")
    return da, da, None


def state_gradients(
    cell: str,
    gates: Tensor,
    c_seq: Tensor | None,
    h_seq: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None,
    grads: OutputGrads,
    *,
    reverse: bool,
    need_x: bool,
) -> StateGrads:
    """The total derivative by h_t and by c_t at every step, from the direct gradients of a run's outputs.

    With `da` the gradients of the pre-activations: `dh_t = direct_t + Uᵀ da_{t+1}` (GRU: `+ z_{t+1}⊙dh_{t+1}`) and
    `dc_t = f_{t+1}⊙dc_{t+1} + dh_t⊙o_t⊙(1 - tanh² c_t)`.

    Args:
        cell: a name of `gatewise.cells.CELLS`.
        gates: activated [T, B, G*H], in the row order of the weights (a plain RNN: h itself).
        c_seq: [T, B, H] of an LSTM, else None.
        h_seq: [T, B, P].
        grads: what reads the outputs from outside, in all tensors' one dtype.
        need_x: whether the derivative by the input is asked for.
    """
    plan = layout(lengths, *h_seq.shape[:2])

    def rows(tensor: Tensor | None, dim: int) -> Tensor | None:
        return None if tensor is None else plan.sort(tensor, dim)

    h_, h0_, c_, c0_ = plan.sort(h_seq, 1), plan.sort(h0, 0), rows(c_seq, 1), rows(c0, 0)
    sorted_lengths = None if lengths is None else plan.sort(lengths, 0)
    h_prev, c_prev = _previous_states(h_, h0_, c_, c0_, sorted_lengths, reverse)
    run = _Run(plan.sort(gates, 1), h_prev, c_prev, c_, weights, plan, reverse)
    out = OutputGrads(rows(grads.h_seq, 1), rows(grads.c_seq, 1), rows(grads.h_n, 0), rows(grads.c_n, 0))
    dh, dc = _start(out, h0_, c0_)
    dh_seq, dc_seq = torch.zeros_like(h_), None if c_ is None else torch.zeros_like(c_)
    if dc is not None:
        da, dh_seq = _sweep_lstm(run, out, dh, dc, dc_seq)
    elif cell == "gru":
        da_h, da_n = _sweep_gru(run, out, dh, dh_seq)
        da = _at_input(da_h, da_n) if need_x else da_h
    elif cell == "gru_reset_before":
        da = _sweep_gru_reset_before(run, out, dh, dh_seq)
    else:
        da = _sweep_rnn(run, out, dh, cell == "rnn_relu", dh_seq)
    dx = plan.unsort(product(da, weights.w_ih.t()), 1) if need_x else None
    return StateGrads(plan.unsort(dh_seq, 1), None if dc_seq is None else plan.unsort(dc_seq, 1), dx)
