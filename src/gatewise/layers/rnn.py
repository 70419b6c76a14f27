"""The plain recurrent network over sequences: depth and direction around `gatewise.cells.rnn`."""

from typing import Any

import torch
from torch import nn

from gatewise.cells import Variant
from gatewise.cells.rnn import check_nonlinearity
from gatewise.layers.base import Recurrent


class RNN(Recurrent):
    """Plain RNN layers, a drop-in for `torch.nn.RNN` whose states can be read (`gw.record`).

    Equations: `gatewise.cells.rnn_step`. Beyond torch: `lengths=` and `resets=` in the call, empty sequences and
    batches, recurrent dropout, `recompute`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as in `LSTM`.
        nonlinearity: "tanh" or "relu".
        recurrent_dropout, recurrent_dropout_on, recompute: as in `LSTM`, on "h" or "weights".

    Call: `output, h_n = layer(x, hx=None, lengths=None, resets=None)`. `input=` is another name for x, as in torch.

    Shape: as in `LSTM`, with one state h_0, h_n [L*D, B, H].

    Parameters: weight_ih_l{k} [H, I or D*H], weight_hh_l{k} [H, H], bias_ih_l{k}, bias_hh_l{k} [H].

    Raises:
        UsageError: an option out of range; x, hx, lengths or resets that do not fit, with the numbers.

    Source: Elman 1990; the variants' stand in `gatewise.cells.variant`.
    """

    gate_count = 1
    torch_class = nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: str = "h",
        recompute: bool = False,
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            variant=Variant(recurrent_dropout=recurrent_dropout, recurrent_dropout_on=recurrent_dropout_on),
            recompute=recompute,
        )

    def _torch_options(self) -> dict[str, Any]:
        return super()._torch_options() | {"nonlinearity": self.nonlinearity}

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}"
        )
