"""Long short-term memory over sequences: depth and direction around `gatewise.cells.lstm`."""

from typing import Any

import torch
from torch import nn

from gatewise.cells import Variant
from gatewise.errors import UsageError
from gatewise.layers import initialisers
from gatewise.layers.base import Recurrent


class LSTM(Recurrent):
    """LSTM layers, a drop-in for `torch.nn.LSTM` whose gates and cell states can be read (`gw.record`).

    Equations: `gatewise.cells.lstm_step`. Beyond torch: `lengths=` and `resets=` in the call, empty sequences and
    batches, `forget_bias` and `chrono`, variants of the cell in any combination but layer_norm with peephole, and
    `recompute`.

    Args:
        input_size: I, features of x.
        hidden_size: H, units.
        num_layers: L; layer k > 0 reads the output of layer k - 1.
        bias: whether the bias vectors exist.
        batch_first: x and output are [B, T, *] instead of [T, B, *]; states are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        bidirectional: D = 2, a second pass from the end; outputs are concatenated.
        proj_size: P, a projection of h (0: none, P = H).
        device, dtype: of the parameters.
        forget_bias: initial bias of the forget gates; it goes into bias_ih, and bias_hh's rows are 0. None: torch's
            initialisation, about 0. Keras has 1.
        chrono: T_max, the longest dependency in steps; draws the biases of f and i for time constants up to it.
        layer_norm: both products are normalised over their rows, and c before it is read.
        peephole: i and f see c_{t-1}, o sees c_t.
        coupled: i = 1 - f.
        zoneout: probabilities (of c, of h) of keeping a unit's old value for a step; in eval the expectation.
        recurrent_dropout: probability of a dropped unit or weight, in training.
        recurrent_dropout_on: "h", the h_{t-1} that the gates read, with one mask a call; "g", what is written, with a
            mask a step; "weights", entries of weight_hh, with one mask a call.
        recompute: keep no gates for the backward pass, which then runs the forward pass once more.

    Call: `output, (h_n, c_n) = layer(x, hx=None, lengths=None, resets=None)`. `input=` is another name for x, as in
        torch.

    Shape: x [T, B, I], [B, T, I] with batch_first, [T, I], or a PackedSequence; hx = (h_0, c_0), [L*D, B, P] and
        [L*D, B, H] (without B for unbatched x), zeros when None; lengths [B] integers from 0 to T, in any order, on
        any device. resets bool [T, B], [B, T] with batch_first, [T]: True where a new segment begins, into which no
        state and no gradient crosses, in neither direction. output [T, B, D*P] in the form of x, zero beyond a row's
        length; h_n and c_n like h_0 and c_0, the states at each row's length.

    Gates: rows in the order i, f, g, o; i, f, o in (0, 1), g in (-1, 1). Coupled: f, g, o.

    Parameters: weight_ih_l{k} [4H, I or D*P], weight_hh_l{k} [4H, P], bias_ih_l{k}, bias_hh_l{k} [4H],
        weight_hr_l{k} [P, H]; `_reverse` for the second direction. Names, shapes and order are torch's. Variants:
        weight_peephole_l{k} [3H], rows i, f, o (coupled [2H], f, o); weight_norm_ih_l{k}, weight_norm_hh_l{k} [4H],
        weight_norm_c_l{k} [H], initially 1, bias_norm_c_l{k} [H], initially 0. Coupled: 3H in place of 4H everywhere.

    Raises:
        UsageError: an option out of range, or two that do not go together; x, hx, lengths or resets that do not fit,
            with the numbers.

    Source: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Sak, Senior & Beaufays 2014; the variants'
        stand in `gatewise.cells.variant`.
    """

    gate_count = 4
    torch_class = nn.LSTM
    has_c = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        forget_bias: float | None = None,
        chrono: int | None = None,
        layer_norm: bool = False,
        peephole: bool = False,
        coupled: bool = False,
        zoneout: tuple[float, float] = (0.0, 0.0),
        recurrent_dropout: float = 0.0,
        recurrent_dropout_on: str = "h",
        recompute: bool = False,
    ) -> None:
        initialisers.check(forget_bias, chrono)
        if not bias and (forget_bias is not None or chrono is not None):
            raise UsageError("forget_bias and chrono set biases; this layer has bias=False")
        self.forget_bias = forget_bias
        self.chrono = chrono
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            variant=Variant(layer_norm, peephole, coupled, zoneout, recurrent_dropout, recurrent_dropout_on),
            recompute=recompute,
        )

    def _torch_options(self) -> dict[str, Any]:
        return super()._torch_options() | {"proj_size": self.proj_size}

    def reset_parameters(self) -> None:
        """As in `Recurrent`, then the biases that `forget_bias` or `chrono` ask for."""
        super().reset_parameters()
        for layer, suffix in self._passes():
            w, coupled = self.weights(layer, reverse=suffix.endswith("_reverse")), self.variant.coupled
            if w.b_ih is None or w.b_hh is None:
                return
            if self.forget_bias is not None:
                initialisers.lstm_forget_bias(w.b_ih, w.b_hh, self.forget_bias, coupled=coupled)
            if self.chrono is not None:
                initialisers.lstm_chrono(w.b_ih, w.b_hh, self.chrono, coupled=coupled)
