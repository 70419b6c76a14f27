"""The network of the classify recipe: embedding or features → recurrent layers → pooling → linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gatewise.layers.building import build_recurrent
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.embedding import TokenEmbedding
from gatewise.tasks.classify.pooling import POOLINGS


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
        self.recurrent = build_recurrent(
            config.cells,
            config.embedding_size if embedding else features,
            config.hidden_size,
            config.num_layers,
            dropout=config.layer_dropout,
            bidirectional=config.bidirectional,
            forget_bias=config.forget_bias,
            chrono=config.chrono,
        )
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
