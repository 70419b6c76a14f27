"""Recurrent layers by name, with the first weights that the recipes train from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.layers.base import Recurrent
from gatewise.layers.gru import GRU
from gatewise.layers.initialisers import gru_chrono, lstm_chrono, lstm_forget_bias
from gatewise.layers.lstm import LSTM
from gatewise.layers.rnn import RNN
from gatewise.layers.stack import Stack

KINDS: dict[str, Callable[..., Recurrent]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def build_recurrent(
    cells: Sequence[str],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    dropout: float = 0.0,
    bidirectional: bool = False,
    forget_bias: float = 0.0,
    chrono: int = 0,
    **variant: Any,
) -> Recurrent | Stack:
    """Layers of one kind or several, with orthogonal recurrent and Xavier input weights for each gate, and zero biases.

    Args:
        cells: "rnn", "gru", "lstm"; more than one make a Stack.
        num_layers: of each of them.
        dropout: between layers.
        forget_bias: of an LSTM's forget gates.
        chrono: the longest lag that gates of LSTM and GRU start with (then `forget_bias` counts for nothing); 0: off.
        variant: keywords of the layers, such as recurrent_dropout.

    Raises:
        UsageError: no cell or an unknown one; what the layers themselves refuse.
    """
    if not cells or any(cell not in KINDS for cell in cells):
        raise UsageError(f"cells are {list(cells)}; give one or more of {', '.join(KINDS)}")
    directions = 2 if bidirectional else 1
    sizes = [input_size, *[directions * hidden_size] * len(cells)]
    layers = [
        _layer(
            cell, size, hidden_size, num_layers,
            dropout=dropout if num_layers > 1 else 0.0, bidirectional=bidirectional,
            forget_bias=forget_bias, chrono=chrono, variant=variant,
        )
        for cell, (size, _) in zip(cells, pairwise(sizes), strict=True)
    ]  # fmt: skip
    return layers[0] if len(layers) == 1 else Stack(layers, dropout=dropout)


@torch.no_grad()
def _layer(
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    *,
    dropout: float,
    bidirectional: bool,
    forget_bias: float,
    chrono: int,
    variant: dict[str, Any],
) -> Recurrent:
    layer = KINDS[cell](
        input_size, hidden_size, num_layers, dropout=dropout, bidirectional=bidirectional, **variant
    )
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.split(hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            for gate in parameter.split(hidden_size):
                nn.init.xavier_uniform_(gate)
        elif name.startswith("bias_"):
            parameter.zero_()
    for name, bias_ih in layer.named_parameters():
        if name.startswith("bias_ih"):
            bias_hh = getattr(layer, name.replace("_ih_", "_hh_"))
            _open_gates(cell, bias_ih, bias_hh, forget_bias, chrono)
    return layer


def _open_gates(cell: str, bias_ih: Tensor, bias_hh: Tensor, forget_bias: float, chrono: int) -> None:
    """How long the gates of one layer and direction keep at first."""
    if cell == "lstm" and not chrono:
        lstm_forget_bias(bias_ih, bias_hh, forget_bias)
    elif cell == "lstm":
        lstm_chrono(bias_ih, bias_hh, chrono)
    elif cell == "gru" and chrono:
        gru_chrono(bias_ih, bias_hh, chrono)
