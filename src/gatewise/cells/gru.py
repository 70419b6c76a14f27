"""Gated recurrent unit, one step.

Source: Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder" (reset before the
product); the form with the reset after it is the default of cuDNN, PyTorch and Keras.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gatewise.cells.change import Change, unchanged
from gatewise.cells.module import CellModule, given

GATES = ("r", "z", "n")


class GRUStep(NamedTuple):
    """What happened in one step. Shape: each [B, H]."""

    r: Tensor
    z: Tensor
    n: Tensor
    h: Tensor


def gru_step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    *,
    reset_after: bool = True,
    drop_h: Tensor | None = None,
    change: Change = unchanged,
) -> GRUStep:
    """One GRU step.

        r, z = σ(W x_t + b + U h_{t-1} + b')
        n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b'_n))     reset_after=True
        n = tanh(W_n x_t + b_n + U_n (r ⊙ h_{t-1}) + b'_n)     reset_after=False (the paper)
        h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}

    With drop_h (Gal & Ghahramani 2016) the products U read h_{t-1} ⊙ drop_h; what z keeps is not dropped.

    Args:
        x: input, [B, I].
        h: hidden state, [B, H].
        w_ih, w_hh, b_ih, b_hh: [3H, I], [3H, H], [3H], [3H]; rows in the order r, z, n.
        drop_h: [B, H]; 0 for a dropped unit, else 1 / (1 - p).
        change: called with "r", "z", "n" and "h" in this order; what follows reads what it returns.

    Gates: r, z in (0, 1), z = 1 keeps the old state (the paper's z; some texts write 1 - z); n in (-1, 1).
    """
    from_x = F.linear(x, w_ih, b_ih)  # [B, 3H]
    seen = h if drop_h is None else h * drop_h
    x_r, x_z, x_n = from_x.chunk(3, dim=-1)
    if reset_after:
        h_r, h_z, h_n = F.linear(seen, w_hh, b_hh).chunk(3, dim=-1)
        r, z = change("r", (x_r + h_r).sigmoid()), change("z", (x_z + h_z).sigmoid())
        n = change("n", (x_n + r * h_n).tanh())
    else:
        u_r, u_z, u_n = w_hh.chunk(3)
        b_r, b_z, b_n = (None, None, None) if b_hh is None else b_hh.chunk(3)
        r = change("r", (x_r + F.linear(seen, u_r, b_r)).sigmoid())
        z = change("z", (x_z + F.linear(seen, u_z, b_z)).sigmoid())
        n = change("n", (x_n + F.linear(r * seen, u_n, b_n)).tanh())
    return GRUStep(r, z, n, change("h", n + z * (h - n)))


class GRUCell(CellModule):
    """One GRU step as a module, a drop-in for `torch.nn.GRUCell`.

    Equations: see `gru_step`. Parameters: `weight_ih` [3H, I], `weight_hh` [3H, H], `bias_ih`, `bias_hh`
    [3H],
    rows in the order r, z, n.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the two bias vectors exist.
        reset_after: the reset gate acts after the recurrent product (torch's form) or before it (the
            paper's).

    Shape: x [B, I] or [I]; hx [B, H] or [H], zeros when None; returns h of the same shape.

    Raises:
        UsageError: x or the state does not have the size that the cell was built with.

    Source: Cho et al. 2014.
    """

    num_chunks = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.reset_after = reset_after

    def forward(
        self, x: Tensor | None = None, hx: Tensor | None = None, *, input: Tensor | None = None
    ) -> Tensor:
        x, unbatched = self._batched(given(x, input), "x", self.input_size)
        h = self._state(hx, "h", x, unbatched)
        step = gru_step(
            x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, reset_after=self.reset_after
        )
        return step.h[0] if unbatched else step.h
