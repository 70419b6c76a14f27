"""The plain recurrent network, one step.

Source: Elman 1990, "Finding structure in time"; ReLU form: Le, Jaitly & Hinton 2015.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gatewise.cells.change import Change, unchanged
from gatewise.cells.module import CellModule, given
from gatewise.errors import UsageError

GATES = ("h",)
NONLINEARITIES = ("tanh", "relu")


class RNNStep(NamedTuple):
    """What happened in one step. Shape: h [B, H]."""

    h: Tensor


def rnn_step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    *,
    nonlinearity: str = "tanh",
    drop_h: Tensor | None = None,
    change: Change = unchanged,
) -> RNNStep:
    """One step of a plain RNN: h_t = tanh(W x_t + U h_{t-1} + b), or with ReLU in place of tanh.

    With drop_h (Gal & Ghahramani 2016) U reads h_{t-1} ⊙ drop_h.

    Args:
        x: input, [B, I].
        h: hidden state, [B, H].
        w_ih, w_hh, b_ih, b_hh: [H, I], [H, H], [H], [H].
        drop_h: [B, H]; 0 for a dropped unit, else 1 / (1 - p).
        change: called with "h"; the step returns what it returns.
    """
    seen = h if drop_h is None else h * drop_h
    pre = F.linear(x, w_ih, b_ih) + F.linear(seen, w_hh, b_hh)  # [B, H]
    return RNNStep(change("h", pre.tanh() if nonlinearity == "tanh" else pre.relu()))


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise a UsageError unless `nonlinearity` is one that a plain RNN has."""
    if nonlinearity not in NONLINEARITIES:
        raise UsageError(
            f"nonlinearity is {nonlinearity!r}; it can be {' or '.join(map(repr, NONLINEARITIES))}"
        )


class RNNCell(CellModule):
    """One step of a plain RNN as a module, a drop-in for `torch.nn.RNNCell`.

    Equations: see `rnn_step`. Parameters: `weight_ih` [H, I], `weight_hh` [H, H], `bias_ih`, `bias_hh` [H].

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the two bias vectors exist.
        nonlinearity: "tanh" or "relu".

    Shape: x [B, I] or [I]; hx [B, H] or [H], zeros when None; returns h of the same shape.

    Raises:
        UsageError: x or the state does not have the size that the cell was built with; unknown nonlinearity.

    Source: Elman 1990.
    """

    num_chunks = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        )

    def forward(
        self, x: Tensor | None = None, hx: Tensor | None = None, *, input: Tensor | None = None
    ) -> Tensor:
        x, unbatched = self._batched(given(x, input), "x", self.input_size)
        h = self._state(hx, "h", x, unbatched)
        step = rnn_step(
            x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, nonlinearity=self.nonlinearity
        )
        return step.h[0] if unbatched else step.h
