"""The smallest network for the synthetic tasks: one recurrent layer, and a linear reader of its state at each step."""

from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.layers import GRU, LSTM, RNN, Recurrent
from gatewise.layers.initialisers import rnn_identity

READERS = ("rnn", "irnn", "gru", "lstm")


class Reader(nn.Module):
    """Logits at every step of a sequence.

    Args:
        cell: "rnn" (tanh), "irnn" (ReLU, identity start; Le, Jaitly & Hinton 2015), "gru" or "lstm".
        inputs: I, features of x.
        hidden_size: H, units.
        classes: K, the answers.
        horizon: the longest lag in steps, at least 3; gru and lstm start with gates that keep up to that many steps
            (chrono, Tallec & Ollivier 2018). None: their gates start as torch's do. The other weights start as torch's.

        lookup: take the inputs as symbols 0 … I - 1. The network is the one that reads them one-hot, whose product
            W x is a column of W; with 1,000 symbols that is three times as fast.

    Call: `logits, state = reader(x, state=None)`; the state is the layer's own and can be carried on.

    Shapes: x [T, B, I], or [T, B] int64 with `lookup`; logits [T, B, K].

    Raises:
        UsageError: another cell, or a horizon below 3.
    """

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden_size: int,
        classes: int,
        *,
        horizon: int | None = None,
        lookup: bool = False,
    ) -> None:
        super().__init__()
        self.columns = nn.Embedding(inputs, _rows(cell) * hidden_size) if lookup else None
        width = self.columns.embedding_dim if self.columns else inputs
        self.recurrent = _layer(cell, width, hidden_size, horizon)
        if self.columns:
            _pass_on(self.columns.weight, self.recurrent)
        self.output = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if self.columns:
            x = self.columns(x)
        h, state = self.recurrent(x, state)  # [T, B, H]
        return self.output(h), state


def _layer(cell: str, inputs: int, hidden_size: int, horizon: int | None) -> Recurrent:
    match cell:
        case "rnn":
            return RNN(inputs, hidden_size)
        case "irnn":
            layer = RNN(inputs, hidden_size, nonlinearity="relu")
            w = layer.weights(0)
            assert w.b_ih is not None and w.b_hh is not None
            rnn_identity(w.w_hh, w.b_ih, w.b_hh)
            nn.init.normal_(w.w_ih, std=0.001)  # the paper's: the noise then hardly moves what is copied
            return layer
        case "gru":
            return GRU(inputs, hidden_size, chrono=horizon)
        case "lstm":
            return LSTM(inputs, hidden_size, chrono=horizon)
    raise UsageError(f"cell is {cell!r}; it must be one of {', '.join(READERS)}")


def _rows(cell: str) -> int:
    """Gates of a cell, the candidate among them."""
    return {"gru": 3, "lstm": 4}.get(cell, 1)


@torch.no_grad()
def _pass_on(columns: Tensor, layer: Recurrent) -> None:
    """Let `columns` be the layer's input weights, with its first values, and the layer's own an identity for good."""
    own = layer.weights(0).w_ih
    columns.uniform_(-(layer.hidden_size**-0.5), layer.hidden_size**-0.5)
    own.copy_(torch.eye(*own.shape))
    own.requires_grad_(False)
