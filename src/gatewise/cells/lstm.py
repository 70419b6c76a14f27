"""Long short-term memory, one step.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory"; forget gate: Gers, Schmidhuber & Cummins
2000, "Learning to forget"; projection: Sak, Senior & Beaufays 2014. The variants' sources stand in
`gatewise.cells.variant`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from gatewise.cells.change import Change, unchanged
from gatewise.cells.layer_norm import Norms, layer_norm
from gatewise.cells.module import CellModule, given
from gatewise.cells.zoneout import Kept
from gatewise.cells.zoneout import zoneout as keep
from gatewise.errors import UsageError

GATES = ("i", "f", "g", "o")


class LSTMStep(NamedTuple):
    """What happened in one step. Shape: i, f, g, o, c [B, H]; h [B, P] (P = H without a projection)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    w_hr: Tensor | None = None,
    *,
    coupled: bool = False,
    peephole: Tensor | None = None,
    norms: Norms | None = None,
    zoneout: tuple[Kept, Kept] = (None, None),
    drop_h: Tensor | None = None,
    drop_g: Tensor | None = None,
    change: Change = unchanged,
) -> LSTMStep:
    """One LSTM step.

        i, f, o = σ(W x_t + U h_{t-1} + b)      g = tanh(W x_t + U h_{t-1} + b)
        c_t = f ⊙ c_{t-1} + i ⊙ g               h_t = W_hr (o ⊙ tanh c_t)   (W_hr = 1 without a projection)

    Variants, in any combination but layer normalisation with peepholes:

        coupled (Greff et al. 2017):    i = 1 - f, and W, U and b have no rows for i
        peephole (Gers & Schmidhuber 2000), inside σ: i has + p_i ⊙ c_{t-1}, f has + p_f ⊙ c_{t-1}, o has + p_o ⊙ c_t
        norms (Ba et al. 2016):         n_ih ⊙ LN(W x_t) + n_hh ⊙ LN(U h_{t-1}) + b for the products,
                                        o ⊙ tanh(n_c ⊙ LN(c_t) + b_c) for the read; LN over all rows of a product
        zoneout (Krueger et al. 2017):  c_t = m ⊙ c_{t-1} + (1 - m) ⊙ (f ⊙ c_{t-1} + i ⊙ g), and o and h_t see this c_t;
                                        h_t likewise of h_{t-1} and the h_t above
        drop_h (Gal & Ghahramani 2016): U reads h_{t-1} ⊙ drop_h
        drop_g (Semeniuta et al. 2016): g is multiplied by drop_g

    Args:
        x: input, [B, I].
        h: hidden state, [B, P].
        c: cell state, [B, H].
        w_ih, w_hh, b_ih, b_hh: [G*H, I], [G*H, P], [G*H], [G*H]; G = 4 rows in the order i, f, g, o, coupled G = 3 in
            the order f, g, o.
        w_hr: projection, [P, H].
        coupled: see above.
        peephole: [3H] in the order i, f, o; coupled [2H], f, o.
        norms: the scales of layer normalisation.
        zoneout: for c and for h: None, the units [B, H] that keep their old value, or the probability of it.
        drop_h, drop_g: [B, P], [B, H]; 0 for a dropped unit, else 1 / (1 - p).
        change: called with "f", "i" (not where it is coupled), "g", "c", "o" and "h" in this order; what follows reads
            what it returns.

    Gates: i, f, o in (0, 1); g in (-1, 1), with drop_g in (-1, 1) / (1 - p).
    """
    pre = _pre_activations(x, h if drop_h is None else h * drop_h, w_ih, w_hh, b_ih, b_hh, norms)
    *a_i, a_f, a_g, a_o = pre.chunk(3 if coupled else 4, dim=-1)  # each [B, H]
    *p_i, p_f, p_o = _peepholes(peephole, coupled)
    f = change("f", _peek(a_f, c, p_f).sigmoid())
    i = 1 - f if coupled else change("i", _peek(a_i[0], c, p_i[0]).sigmoid())
    g = change("g", a_g.tanh() if drop_g is None else a_g.tanh() * drop_g)
    c = change("c", keep(c, f * c + i * g, zoneout[0]))
    o = change("o", _peek(a_o, c, p_o).sigmoid())
    read = o * (c if norms is None else layer_norm(c, norms.c, norms.c_bias)).tanh()  # [B, H]
    h = change("h", keep(h, read if w_hr is None else F.linear(read, w_hr), zoneout[1]))
    return LSTMStep(i, f, g, o, c, h)


def _pre_activations(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    norms: Norms | None,
) -> Tensor:
    """What stands inside σ and tanh, but for peepholes: [B, G*H]."""
    if norms is None:
        return F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)
    return layer_norm(F.linear(x, w_ih), norms.ih, b_ih) + layer_norm(F.linear(h, w_hh), norms.hh, b_hh)


def _peepholes(peephole: Tensor | None, coupled: bool) -> Sequence[Tensor | None]:
    """The peephole weights [H] of (i,) f and o."""
    count = 2 if coupled else 3
    return [None] * count if peephole is None else peephole.chunk(count)


def _peek(pre: Tensor, c: Tensor, peephole: Tensor | None) -> Tensor:
    return pre if peephole is None else pre + peephole * c


class LSTMCell(CellModule):
    """One LSTM step as a module, a drop-in for `torch.nn.LSTMCell`.

    Equations: see `lstm_step`. Parameters: `weight_ih` [4H, I], `weight_hh` [4H, H], `bias_ih`, `bias_hh`
    [4H],
    rows in the order i, f, g, o.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the two bias vectors exist.

    Shape: x [B, I] or [I]; hx = (h, c), each [B, H] or [H], zeros when None; returns (h, c) of
    the same shape.

    Raises:
        UsageError: x or a state does not have the size that the cell was built with.

    Source: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.
    """

    num_chunks = 4

    def forward(
        self, x: Tensor | None = None, hx: tuple[Tensor, Tensor] | None = None, *, input: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        x, unbatched = self._batched(given(x, input), "x", self.input_size)
        if hx is not None and len(hx) != 2:
            raise UsageError(f"hx holds {len(hx)} states; an LSTM cell takes 2, (h, c)")
        states = (None, None) if hx is None else hx
        h, c = (self._state(s, name, x, unbatched) for s, name in zip(states, ("h", "c"), strict=True))
        step = lstm_step(x, h, c, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (step.h[0], step.c[0]) if unbatched else (step.h, step.c)
