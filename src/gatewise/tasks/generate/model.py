"""The network of the generate recipe: embedding → recurrent layers → the output over the vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatewise.layers import GRU, LSTM, RNN, Recurrent, Stack
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.output import nll_sum
from gatewise.tasks.generate.regularisers import (
    activation,
    drop,
    drop_embeddings,
    drop_locked,
    temporal_activation,
)

EMBEDDING_RANGE = 0.1
State = tuple[Any, ...]
"""One native state a layer, as `Stack` has it."""


class LanguageModel(nn.Module):
    """Predicts each next token from all before it.

    Args:
        config: sizes, cell and regularisers.
        vocabulary: number of tokens V.

    Call: `logits, state = model(ids, state=None)`; logits [T, B, V] of the token that follows each of ids
        [T, B]. With `targets` [T, B] instead `(nll, penalty), state`: both sums over the tokens, in nats, scalars.

    With `tie` the output reads the embedding's own matrix: there is one parameter, `embedding`.
    """

    def __init__(self, config: GenerateConfig, vocabulary: int):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.embedding = nn.Parameter(torch.empty(vocabulary, config.embedding_size))
        inputs = [config.embedding_size, *config.sizes]
        self.recurrent = Stack(
            [_layer(config, below, size) for below, size in zip(inputs, config.sizes, strict=False)]
        )
        self.output_weight = None if config.tie else nn.Parameter(torch.empty(vocabulary, config.sizes[-1]))
        self.output_bias = nn.Parameter(torch.zeros(vocabulary))
        for weight in (self.embedding, self.output_weight):
            if weight is not None:
                nn.init.uniform_(weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)

    @property
    def decoder(self) -> Tensor:
        """The output's matrix, [V, H of the last layer]."""
        return self.embedding if self.output_weight is None else self.output_weight

    def forward(self, ids: Tensor, state: State | None = None, targets: Tensor | None = None) -> Any:
        h, dropped, state = self.hidden(ids, state)
        rows = dropped.flatten(0, 1)  # [T·B, H]
        if targets is None:
            logits = torch.addmm(self.output_bias, rows.to(self.decoder.dtype), self.decoder.t())
            return logits.view(*ids.shape, self.vocabulary), state
        nll = nll_sum(rows, self.decoder, self.output_bias, targets.flatten())
        return (nll, self.penalty(h, dropped)), state

    def hidden(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, Tensor, State]:
        """The last layer's output [T, B, H] before and after dropout (the same in evaluation), and the new state."""
        config, masks = self.config, self.training
        bf16 = config.precision == "bf16" and masks
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
            x, states = self.embed(ids), []
            for number, layer in enumerate(self.recurrent.layers):
                read = self.dropped(x, config.hidden_dropout) if number else x
                x, last = layer(read, None if state is None else state[number])
                states.append(last)
            dropped = self.dropped(x, config.output_dropout)
        return x, dropped.to(x.dtype), tuple(states)

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [T, B, E] of ids [T, B], in training with their dropouts."""
        # The gradient of a tied matrix is dense by its output, to which that of the few rows read here is then added.
        rows = F.embedding(ids, self.embedding, sparse=self.config.tie)
        if self.training:
            rows = drop_embeddings(rows, ids, self.config.embedding_dropout, self.vocabulary)
        return self.dropped(rows, self.config.input_dropout)

    def dropped(self, x: Tensor, p: float) -> Tensor:
        if not self.training:
            return x
        return drop_locked(x, p) if self.config.locked else drop(x, p)

    def penalty(self, h: Tensor, dropped: Tensor) -> Tensor:
        """AR of the dropped output plus TAR of the whole one, in training."""
        total = h.new_zeros(())
        if self.training and self.config.ar:
            total = total + activation(dropped, self.config.ar)
        if self.training and self.config.tar:
            total = total + temporal_activation(h, self.config.tar)
        return total


def _layer(config: GenerateConfig, inputs: int, size: int) -> Recurrent:
    masks = {"recurrent_dropout": config.weight_drop, "recurrent_dropout_on": "weights"}
    if config.cell == "lstm":
        return LSTM(inputs, size, forget_bias=config.forget_bias, **masks)
    return (GRU if config.cell == "gru" else RNN)(inputs, size, **masks)
