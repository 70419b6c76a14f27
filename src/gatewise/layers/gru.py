"""Gated recurrent units over sequences: depth and direction around `gatewise.cells.gru`."""

from typing import Any

import torch
from torch import nn

from gatewise.cells import Variant
from gatewise.errors import UsageError
from gatewise.layers import initialisers
from gatewise.layers.base import Recurrent


class GRU(Recurrent):
    """GRU layers, a drop-in for `torch.nn.GRU` whose gates can be read (`gw.record`).

    Equations: `gatewise.cells.gru_step`. Beyond torch: `reset_after=False` (the paper's form), `lengths=` and
    `resets=` in the call, empty sequences and batches, `chrono`, recurrent dropout, `recompute`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as in `LSTM`.
        reset_after: the reset gate acts after the recurrent product (torch, cuDNN, Keras) or before it (the paper).
        chrono: T_max, the longest dependency in steps; draws the biases of z for time constants up to it.
        recurrent_dropout, recurrent_dropout_on, recompute: as in `LSTM`, on "h" or "weights"; what z keeps of h is not
            dropped.

    Call: `output, h_n = layer(x, hx=None, lengths=None, resets=None)`. `input=` is another name for x, as in torch.

    Shape: as in `LSTM`, with one state h_0, h_n [L*D, B, H].

    Gates: rows in the order r, z, n; r, z in (0, 1), z = 1 keeps the old state; n in (-1, 1).

    Parameters: weight_ih_l{k} [3H, I or D*H], weight_hh_l{k} [3H, H], bias_ih_l{k}, bias_hh_l{k} [3H].

    Raises:
        UsageError: an option out of range; x, hx, lengths or resets that do not fit, with the numbers.

    Source: Cho et al. 2014; the variants' stand in `gatewise.cells.variant`.
    """

    gate_count = 3
    torch_class = nn.GRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        chrono: int | None = None,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: str = "h",
        recompute: bool = False,
    ) -> None:
        initialisers.check(None, chrono)
        if not bias and chrono is not None:
            raise UsageError("chrono sets biases; this layer has bias=False")
        self.reset_after = reset_after
        self.chrono = chrono
        super().__init__(
            "GRU",
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

    @property
    def cell(self) -> str:
        return "gru" if self.reset_after else "gru_reset_before"

    def _torch_options(self) -> dict[str, Any]:
        if not self.reset_after:
            raise UsageError("torch.nn.GRU has no reset_after=False; this layer cannot become one")
        return super()._torch_options()

    def reset_parameters(self) -> None:
        """As in `Recurrent`, then the biases that `chrono` asks for."""
        super().reset_parameters()
        for layer, suffix in self._passes():
            w = self.weights(layer, reverse=suffix.endswith("_reverse"))
            if self.chrono is not None and w.b_ih is not None and w.b_hh is not None:
                initialisers.gru_chrono(w.b_ih, w.b_hh, self.chrono)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")
