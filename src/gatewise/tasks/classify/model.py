"""The network of the classify recipe: embedding or features → recurrent layers → pooling → linear."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gatewise.layers import GRU, LSTM, RNN, Recurrent, Stack
from gatewise.layers.initialisers import gru_chrono, lstm_chrono, lstm_forget_bias
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.embedding import TokenEmbedding
from gatewise.tasks.classify.pooling import POOLINGS

KINDS: dict[str, Callable[..., Recurrent]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class SequenceClassifier(nn.Module):
    """Logits of K labels for token ids or numeric features.

    Args:
        config: sizes, cells, pooling and dropouts.
        classes: number of labels K.
        embedding: turns ids [T, B] into vectors; None when the input is numeric.
        features: number of numeric features F, when there is no embedding.

    Shapes: x [T, B] int64 or [T, B, F] float32, lengths [B] int64 with 0 ≤ length ≤ T; logits [B, K].
    """

    def __init__(
        self,
        config: ClassifyConfig,
        classes: int,
        *,
        embedding: TokenEmbedding | None = None,
        features: int = 0,
    ):
        super().__init__()
        self.embedding = embedding
        self.input_dropout = config.embedding_dropout if embedding else 0.0
        self.output_dropout = config.dropout
        self.bf16 = config.precision == "bf16"
        self.recurrent = build_recurrent(config, config.embedding_size if embedding else features)
        directions = 2 if config.bidirectional else 1
        self.pooling = POOLINGS[config.pooling](directions * config.hidden_size, directions)
        self.output = nn.Linear(directions * config.hidden_size, classes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        pooled = self.pooling(self.hidden(x, lengths), lengths)  # [B, D·H]
        return self.output(dropout(pooled, self.output_dropout, self.training))

    def hidden(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Outputs of the top recurrent layer, [T, B, D·H] float32; what lies beyond a length is zero."""
        inputs = self.embedding(x) if self.embedding else x  # [T, B, I]
        if self.training and self.input_dropout:
            # One mask for all steps (Gal & Ghahramani 2016), so that a column cannot be read off a neighbour.
            keep = 1 - self.input_dropout
            inputs = inputs * (torch.rand((1, *inputs.shape[1:]), device=inputs.device) < keep) / keep
        # bf16 is for speed in training; answers and explanations are computed in float32.
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16 and self.training):
            output, _ = self.recurrent(inputs, lengths=lengths)
        return output.float()


def build_recurrent(config: ClassifyConfig, input_size: int) -> Recurrent | Stack:
    """The layers that `config.cell` names, with orthogonal recurrent and Xavier input weights for each gate."""
    directions = 2 if config.bidirectional else 1
    sizes = [input_size, *[directions * config.hidden_size] * (len(config.cells) - 1)]
    layers = [_layer(cell, size, config) for cell, size in zip(config.cells, sizes, strict=True)]
    return layers[0] if len(layers) == 1 else Stack(layers, dropout=config.layer_dropout)


@torch.no_grad()
def _layer(cell: str, input_size: int, config: ClassifyConfig) -> Recurrent:
    layer = KINDS[cell](
        input_size,
        config.hidden_size,
        config.num_layers,
        dropout=config.layer_dropout if config.num_layers > 1 else 0.0,
        bidirectional=config.bidirectional,
    )
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.split(config.hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            for gate in parameter.split(config.hidden_size):
                nn.init.xavier_uniform_(gate)
        else:
            parameter.zero_()
    for name, bias_ih in layer.named_parameters():
        if name.startswith("bias_ih"):
            _open_gates(cell, bias_ih, getattr(layer, name.replace("_ih_", "_hh_")), config)
    return layer


def _open_gates(cell: str, bias_ih: Tensor, bias_hh: Tensor, config: ClassifyConfig) -> None:
    """How long the gates of one layer and direction keep at first."""
    if cell == "lstm" and not config.chrono:
        lstm_forget_bias(bias_ih, bias_hh, config.forget_bias)
    elif cell == "lstm":
        lstm_chrono(bias_ih, bias_hh, config.chrono)
    elif cell == "gru" and config.chrono:
        gru_chrono(bias_ih, bias_hh, config.chrono)
