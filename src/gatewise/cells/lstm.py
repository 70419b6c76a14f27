"""Long short-term memory, one step.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory"; forget gate: Gers, Schmidhuber & Cummins
2000, "Learning to forget"; projection: Sak, Senior & Beaufays 2014.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from gatewise.cells.module import CellModule, given
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
) -> LSTMStep:
    """One LSTM step.

        i, f, o = σ(W x_t + U h_{t-1} + b)      g = tanh(W x_t + U h_{t-1} + b)
        c_t = f ⊙ c_{t-1} + i ⊙ g               h_t = W_hr (o ⊙ tanh c_t)   (W_hr = 1 without a projection)

    Args:
        x: input, [B, I].
        h: hidden state, [B, P].
        c: cell state, [B, H].
        w_ih, w_hh, b_ih, b_hh: [4H, I], [4H, P], [4H], [4H]; rows in the order i, f, g, o.
        w_hr: projection, [P, H].

    Gates: i, f, o in (0, 1); g in (-1, 1).
    """
    pre = F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)  # [B, 4H]
    i, f, g, o = pre.chunk(4, dim=-1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    read = o * c.tanh()  # [B, H]
    return LSTMStep(i, f, g, o, c, read if w_hr is None else F.linear(read, w_hr))


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
