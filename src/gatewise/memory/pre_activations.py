"""What stands inside the sigmoids and tanhs of a finished run, all steps at once, for every cell and variant."""

import torch
from torch import Tensor

from gatewise.cells.layer_norm import layer_norm
from gatewise.kernels.product import product
from gatewise.kernels.ragged import padding
from gatewise.kernels.random_bits import Stream, scales
from gatewise.kernels.weights import Weights
from gatewise.memory.building import Ran
from gatewise.memory.states import before


def pre_activations(cell: str, ran: Ran, gates: Tensor | None, c: Tensor | None) -> Tensor:
    """Of every gate, [T, B, G*H] in the row order of the weights, zero beyond the lengths.

    The GRU's n has `W_n x + b_n + r⊙(U_n h + b'_n)` (reset before: `W_n x + b_n + U_n (r⊙h) + b'_n`); peepholes are
    included, dropout of g comes after. Differentiable.

    Args:
        gates: the activated gates [T, B, G*H]; only a GRU's r is read.
        c: cell states [T, B, H] of an LSTM.
    """
    dtype, w = ran.dtype, ran.weights.to(ran.dtype)
    x, h = ran.x.to(dtype), _before(ran, ran.h.to(dtype), ran.h0.to(dtype))
    p = ran.variant.recurrent_dropout
    if p and ran.variant.recurrent_dropout_on == "h" and ran.seed is not None:
        h = h * scales(p, ran.seed, Stream.DROPOUT_H, 0, like=h[0] if len(h) else ran.h0.to(dtype))
    with torch.autocast(x.device.type, enabled=False):
        if cell.startswith("gru"):
            assert gates is not None
            r = gates[..., : w.hidden_size]
            pre = _of_gru(x, h, w, r, reset_after=cell == "gru")
        elif w.norm_ih is not None and w.norm_hh is not None:
            of_x = layer_norm(product(x, w.w_ih), w.norm_ih, w.b_ih)
            pre = of_x + layer_norm(product(h, w.w_hh), w.norm_hh, w.b_hh)
        else:
            pre = product(x, w.w_ih, w.b_ih) + product(h, w.w_hh, w.b_hh)
        if w.peephole is not None and c is not None and ran.c0 is not None:
            pre = pre + _of_peepholes(w.peephole, _before(ran, c, ran.c0.to(dtype)), c, w.hidden_size)
    return pre if ran.lengths is None else pre.masked_fill(padding(ran.lengths, len(pre)), 0)


def _before(ran: Ran, states: Tensor, initial: Tensor) -> Tensor:
    return before(states, initial, ran.lengths, ran.borders, reverse=ran.reverse)


def _of_gru(x: Tensor, h: Tensor, w: Weights, r: Tensor, *, reset_after: bool) -> Tensor:
    of_x, hidden = product(x, w.w_ih, w.b_ih), w.hidden_size  # [T, B, 3H]
    if reset_after:
        of_h = product(h, w.w_hh, w.b_hh)
        return of_x + torch.cat([of_h[..., : 2 * hidden], r * of_h[..., 2 * hidden :]], dim=-1)
    b_rz, b_n = (None, None) if w.b_hh is None else w.b_hh.split([2 * hidden, hidden])
    u_rz, u_n = w.w_hh.split([2 * hidden, hidden])
    return of_x + torch.cat([product(h, u_rz, b_rz), product(r * h, u_n, b_n)], dim=-1)


def _of_peepholes(peephole: Tensor, c_before: Tensor, c: Tensor, hidden: int) -> Tensor:
    """In the row order of the weights, (i,) f, g, o: i and f see c_{t-1}, o sees c_t, g sees none."""
    *early, late = peephole.split(hidden)
    return torch.cat([*(p * c_before for p in early), torch.zeros_like(c), late * c], dim=-1)
