"""All gates of all steps of a finished layer, read from its output in batched products.

The output of a layer holds every h_{t-1}, so the pre-activations of all steps are `x W^T + h_shift U^T + b`
at once; only the cell state of an LSTM needs a scan, and that is element-wise. Nothing here runs the layer
again.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.kernels.product import product
from gatewise.kernels.ragged import last_steps, padding
from gatewise.kernels.weights import Weights


class Replay(NamedTuple):
    """What a layer did at every step.

    Shape: gates [T, B, G*H], activated, in the row order of the weights; pre the same before activation, or
    None; c_seq [T, B, H] or None; residual 0-dimensional: the largest difference between the h that these
    gates give and the layer's own h, over the valid steps.
    """

    gates: Tensor
    pre: Tensor | None
    c_seq: Tensor | None
    residual: Tensor


class _Run(NamedTuple):
    """A finished layer in the precision of the replay, with what every kind of cell asks of it."""

    x: Tensor  # [T, B, I]
    h: Tensor  # [T, B, P]
    h_shift: Tensor  # [T, B, P], the state that each step started from
    first: Tensor | None  # [T, B, 1], the first processed step of each row; only for ragged reverse runs
    c0: Tensor | None  # [B, H]
    weights: Weights
    reverse: bool
    in_place: bool  # no graph is being recorded, so results may overwrite their operands


def replay(
    cell: str,
    x: Tensor,
    h_seq: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    keep_pre: bool = False,
) -> Replay:
    """Read every gate of a finished layer in one direction.

    Differentiable in all tensors when grad mode is on and one of them requires it. Computes in float32 at
    least: a half-precision layer is replayed in float32 from its rounded h.

    Args:
        cell: "lstm", "gru", "gru_reset_before", "rnn_tanh" or "rnn_relu".
        x: the layer's input [T, B, I].
        h_seq: the layer's output [T, B, P]; zero beyond a row's length.
        h0: initial state [B, P].
        c0: initial cell state [B, H] of an LSTM, else None.
        weights: of this layer and direction.
        lengths: [B] valid steps of each row, 0 to T; None: all T. Everything beyond a length is zero.
        reverse: the layer ran each row from its own last step to its first.
        keep_pre: also return the pre-activations. The GRU's n has `W_n x + b_n + r⊙(U_n h + b'_n)` (reset
            before: `W_n x + b_n + U_n (r⊙h) + b'_n`).

    Raises:
        UsageError: a cell of that name cannot be replayed.
    """
    if cell not in _READERS:
        raise UsageError(f'a "{cell}" cell cannot be replayed; these can: {", ".join(_READERS)}')
    dtype = torch.promote_types(torch.promote_types(x.dtype, h_seq.dtype), torch.float32)
    weights = weights.to(dtype)
    x, h, h0 = x.to(dtype), h_seq.to(dtype), h0.to(dtype)
    c0 = None if c0 is None else c0.to(dtype)
    lengths = None if lengths is None else lengths.to(h.device)
    first = last_steps(lengths, len(h)) if reverse and lengths is not None else None
    tensors = [x, h, h0, *weights.tensors()] + ([] if c0 is None else [c0])
    in_place = not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    run = _Run(x, h, shifted(h, h0, first, reverse), first, c0, weights, reverse, in_place)
    mask = None if lengths is None else padding(lengths, len(h))
    with torch.autocast(x.device.type, enabled=False):
        return _READERS[cell](run, mask, keep_pre)


def shifted(h: Tensor, h0: Tensor, first: Tensor | None, reverse: bool) -> Tensor:
    """The state that each step started from: the previous one in the order of processing, h0 at the first."""
    if h.shape[0] == 0:
        return h
    if not reverse:
        return torch.cat([h0[None], h[:-1]])
    before = torch.cat([h[1:], h0[None]])
    return before if first is None else torch.where(first, h0, before)


def _activate(run: _Run, pre: Tensor, functions: list[Callable[..., Tensor]], keep_pre: bool) -> Tensor:
    """Each function on its share of H columns of pre [T, B, n*H]; overwrites pre where nobody needs it."""
    parts = pre.split(run.weights.hidden_size, dim=-1)
    if not run.in_place:
        return torch.cat([f(part) for f, part in zip(functions, parts, strict=True)], dim=-1)
    gates = torch.empty_like(pre) if keep_pre else pre
    for function, part, out in zip(
        functions, parts, gates.split(run.weights.hidden_size, dim=-1), strict=True
    ):
        function(part, out=out)
    return gates


def _joint_gates(
    run: _Run, functions: list[Callable[..., Tensor]], keep_pre: bool
) -> tuple[Tensor, Tensor | None]:
    """`x W^T + h_shift U^T + b` for all rows of the weights as one product, activated; and before it, if asked for.

    Where nobody needs the pre-activations it goes in blocks of steps that stay in the processor's cache, for large
    memory that is touched for the first time costs as much as the arithmetic on it.
    """
    w = run.weights
    weight = torch.cat([w.w_ih, w.w_hh], dim=1)
    bias = None if w.b_ih is None or w.b_hh is None else w.b_ih + w.b_hh
    if keep_pre or not run.in_place:
        pre = product(torch.cat([run.x, run.h_shift], dim=-1), weight, bias)  # [T, B, G*H]
        return _activate(run, pre, functions, keep_pre), pre if keep_pre else None
    T, B = run.x.shape[:2]
    gates = run.h.new_empty(T, B, weight.shape[0])
    for steps in _blocks(T, B):
        pre = product(torch.cat([run.x[steps], run.h_shift[steps]], dim=-1), weight, bias)
        outs = gates[steps].split(w.hidden_size, dim=-1)
        for function, part, out in zip(functions, pre.split(w.hidden_size, dim=-1), outs, strict=True):
            function(part, out=out)
    return gates, None


def _blocks(T: int, B: int) -> Iterator[slice]:
    """The steps in blocks that have about 384 rows."""
    size = max(1, 384 // max(B, 1))
    for start in range(0, T, size):
        yield slice(start, start + size)


def _clear(tensor: Tensor, mask: Tensor | None, run: _Run) -> Tensor:
    """Zeros beyond the lengths; a fill, not a product, so that a NaN in the padding goes too."""
    if mask is None:
        return tensor
    return tensor.masked_fill_(mask, 0) if run.in_place else tensor.masked_fill(mask, 0)


def _result(
    run: _Run, mask: Tensor | None, gates: Tensor, pre: Tensor | None, c: Tensor | None, read: Tensor
) -> Replay:
    """`read` [T, B, P] is the h that the gates give; it is overwritten."""
    with torch.no_grad():
        error = read.sub_(run.h)
        if mask is not None:
            error = error.masked_fill_(mask, 0)
        residual = error.abs_().max() if error.numel() else error.new_zeros(())
    return Replay(gates, None if pre is None else _clear(pre, mask, run), c, residual)


def _read_lstm(run: _Run, mask: Tensor | None, keep_pre: bool) -> Replay:
    gates, pre = _joint_gates(
        run, [torch.sigmoid, torch.sigmoid, _tanh, torch.sigmoid], keep_pre
    )  # [T, B, 4H]
    gates = _clear(gates, mask, run)
    i, f, g, o = gates.chunk(4, dim=-1)
    c = _clear(_scan(run, f, i * g), mask, run)  # [T, B, H]; a NaN in the last step would go on as 0 * NaN
    with torch.no_grad():
        read = _tanh(c, out=torch.empty_like(c)).mul_(o)
        if run.weights.w_hr is not None:
            read = product(read, run.weights.w_hr)
    return _result(run, mask, gates, pre, c, read)


def _scan(run: _Run, f: Tensor, written: Tensor) -> Tensor:
    """`c_t = f_t⊙c_{t-1} + written_t` in the order of processing; beyond a length f and written are zero."""
    if written.shape[0] == 0:
        return written
    keeps, steps = f.unbind(0), list(written.unbind(0))
    c = run.c0 if run.c0 is not None else torch.zeros_like(steps[0])
    order = range(len(steps))
    for t in reversed(order) if run.reverse else order:
        if run.first is not None and run.c0 is not None:
            c = torch.where(run.first[t], run.c0, c)
        c = steps[t].addcmul_(keeps[t], c) if run.in_place else torch.addcmul(steps[t], keeps[t], c)
        steps[t] = c
    return written if run.in_place else torch.stack(steps)


def _read_gru(run: _Run, mask: Tensor | None, keep_pre: bool) -> Replay:
    w, hidden = run.weights, run.weights.hidden_size
    of_x, of_h = product(run.x, w.w_ih, w.b_ih), product(run.h_shift, w.w_hh, w.b_hh)  # [T, B, 3H]
    rz_pre = of_x[..., : 2 * hidden] + of_h[..., : 2 * hidden]
    rz = torch.sigmoid(rz_pre)
    n_pre = torch.addcmul(of_x[..., 2 * hidden :], rz[..., :hidden], of_h[..., 2 * hidden :])
    return _finish_gru(run, mask, (rz_pre, n_pre), rz, keep_pre)


def _read_gru_reset_before(run: _Run, mask: Tensor | None, keep_pre: bool) -> Replay:
    w, hidden = run.weights, run.weights.hidden_size
    of_x = product(run.x, w.w_ih, w.b_ih)  # [T, B, 3H]
    rows = slice(2 * hidden), slice(2 * hidden, None)
    b_rz, b_n = (None, None) if w.b_hh is None else (w.b_hh[rows[0]], w.b_hh[rows[1]])
    rz_pre = of_x[..., rows[0]] + product(run.h_shift, w.w_hh[rows[0]], b_rz)
    rz = torch.sigmoid(rz_pre)
    n_pre = of_x[..., rows[1]] + product(rz[..., :hidden] * run.h_shift, w.w_hh[rows[1]], b_n)
    return _finish_gru(run, mask, (rz_pre, n_pre), rz, keep_pre)


def _finish_gru(
    run: _Run, mask: Tensor | None, pre: tuple[Tensor, Tensor], rz: Tensor, keep_pre: bool
) -> Replay:
    gates = _clear(torch.cat([rz, torch.tanh(pre[1])], dim=-1), mask, run)  # [T, B, 3H]
    with torch.no_grad():
        _, z, n = gates.chunk(3, dim=-1)
        read = torch.lerp(n, run.h_shift, z)  # (1-z)⊙n + z⊙h_{t-1}
    return _result(run, mask, gates, torch.cat(pre, dim=-1) if keep_pre else None, None, read)


def _reader_rnn(function: Callable[..., Tensor]) -> Callable[[_Run, Tensor | None, bool], Replay]:
    def read(run: _Run, mask: Tensor | None, keep_pre: bool) -> Replay:
        gates, pre = _joint_gates(run, [function], keep_pre)  # [T, B, H]
        gates = _clear(gates, mask, run)
        return _result(run, mask, gates, pre, None, gates.detach().clone())

    return read


def _tanh(x: Tensor, *, out: Tensor | None = None) -> Tensor:
    """tanh; without a graph, in float32 on a CPU, as 2σ(2x) - 1, a quarter of the time at an error of 2e-7."""
    if out is None:
        return torch.tanh(x)
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return torch.tanh(x, out=out)
    torch.mul(x, 2, out=out).sigmoid_()
    return out.mul_(2).sub_(1)


def _relu(x: Tensor, *, out: Tensor | None = None) -> Tensor:
    return torch.clamp(x, min=0) if out is None else torch.clamp(x, min=0, out=out)


_READERS: dict[str, Callable[[_Run, Tensor | None, bool], Replay]] = {
    "lstm": _read_lstm,
    "gru": _read_gru,
    "gru_reset_before": _read_gru_reset_before,
    "rnn_tanh": _reader_rnn(_tanh),
    "rnn_relu": _reader_rnn(_relu),
}
