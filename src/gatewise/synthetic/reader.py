"""The smallest network for the synthetic tasks: one recurrent layer, and a linear reader of its state at each step."""

from typing import Any

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

    Call: `logits, state = reader(x, state=None)`; the state is the layer's own and can be carried on.

    Shapes: x [T, B, I]; logits [T, B, K].

    Raises:
        UsageError: another cell, or a horizon below 3.
    """

    def __init__(
        self, cell: str, inputs: int, hidden_size: int, classes: int, *, horizon: int | None = None
    ) -> None:
        super().__init__()
        self.recurrent = _layer(cell, inputs, hidden_size, horizon)
        self.output = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
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
