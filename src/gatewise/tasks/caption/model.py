"""The network of the caption recipe: what is seen becomes a memory, over which the decoder attends.

The memory's steps are the cells of a picture's grid (Xu et al. 2015, "Show, attend and tell", soft attention), or the
states of a recurrent network that reads a clip frame by frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gatewise.data.tokenizer import PAD_ID
from gatewise.decoding.decoder import AttentionalDecoder, Decoding
from gatewise.layers.building import build_recurrent
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.encode import Batch
from gatewise.tasks.caption.sight import SmallSight, as_numbers, augmented


class Captioner(nn.Module):
    """Logits of the next token of a sentence about what is seen.

    Args:
        tokens: V, with begin and end.

    The decoder starts from tanh(W m + b), with m the mean of the memory.
    """

    def __init__(self, config: CaptionConfig, tokens: int) -> None:
        super().__init__()
        self.dropout, self.augment, self.flip = config.dropout, config.augment, config.flip
        self.penalised = config.doubly_stochastic > 0
        self.bf16 = config.precision == "bf16"
        size = config.picture_size
        self.seen = (
            (1, 1, config.feature_size) if config.features else (3, size, size)
        )  # of no frame, the shape
        size = config.channels
        self.sight = self.project = self.frame = self.reader = None
        if config.blind:
            self.nothing = nn.Parameter(torch.zeros(size))
        elif config.features:
            self.project = nn.Linear(config.feature_size, size)
        else:
            self.sight = SmallSight(size)
        if config.video and not config.blind:
            cells = 1 if config.features else config.grid**2
            self.frame = nn.Linear(cells * size, config.hidden_size)
            self.reader = build_recurrent(
                config.cells, config.hidden_size, config.hidden_size,
                bidirectional=config.bidirectional, forget_bias=config.forget_bias,
            )  # fmt: skip
            size = config.hidden_size * (2 if config.bidirectional else 1)
        embedding = nn.Embedding(tokens, config.embedding_size)
        with torch.no_grad():
            embedding.weight.normal_(std=config.embedding_size**-0.5)
            embedding.weight[PAD_ID] = 0
        self.decoder = AttentionalDecoder(
            embedding, config.hidden_size, size, size,
            cells=config.cells, num_layers=config.decoder_layers, attention=config.attention, tied=config.tied,
            dropout=config.dropout, forget_bias=config.forget_bias,
        )  # fmt: skip

    def look(self, sights: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The memory of P pictures or clips.

        Args:
            sights: of all their N frames, see `Looker`; counts: frames of each, [P] int64.

        Returns: values [S, P, M], the steps that each has [P], and what the decoder starts from [P, M].
        """
        P = len(counts)
        if self.sight is None and self.project is None:
            values = self.nothing.expand(1, P, -1)
            return values, torch.ones_like(counts), values[0]
        if not P:  # the part of a process that got no picture; every weight still takes part
            sights = sights.new_zeros(0, *self.seen)
        cells = self._cells(sights, counts)  # [N, S, C]
        if self.frame is None or self.reader is None:
            values = dropout(cells.transpose(0, 1), self.dropout, self.training)
            return values, torch.full_like(counts, len(values)), values.mean(0)
        frames = dropout(torch.relu(self.frame(cells.flatten(1))), self.dropout, self.training)  # [N, H]
        steps = torch.arange(int(counts.max()) if P else 0, device=counts.device)[:, None]
        places = (counts.cumsum(0) - counts + steps).clamp(max=len(frames) - 1)  # [F, P]
        states, _ = self.reader(frames[places], lengths=counts)  # zero beyond a clip's end
        return states, counts, states.sum(0) / counts[:, None]

    def begin(self, sights: Tensor, counts: Tensor, owners: Tensor) -> Decoding:
        """The decoder's state before the first token of sentences about the pictures `owners` [B] of all those."""
        values, lengths, summary = self.look(sights, counts)
        return self.decoder.begin(values[:, owners], lengths[owners], summary[owners])

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of every token that is wanted.

        Returns: logits [N, V] of the N tokens inside the sentences; those tokens [N]; and Σ (1 - Σ_t a_ts)² over all
            sentences and steps s of their memories (Xu 2015, equation 14), 0 where it costs nothing.
        """
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=self.bf16 and self.training):
            decoding = self.begin(batch.sights, batch.counts, batch.owners)
            read, weights = self.decoder(batch.inputs, decoding)
        inside = batch.inside
        logits = self.decoder.logits(read[inside].float())
        if not self.penalised:
            return logits, batch.wanted[inside], logits.new_zeros(())
        looked = (weights.float() * inside[..., None]).sum(0)  # [B, S]
        return logits, batch.wanted[inside], ((1 - looked).square() * decoding.memory.inside.t()).sum()

    def _cells(self, sights: Tensor, counts: Tensor) -> Tensor:
        """What is seen at each place, [N, S, C]."""
        if self.sight is None:
            assert self.project is not None
            return self.project(sights.float()).flatten(1, 2)
        pictures = as_numbers(sights)
        if self.training and (self.augment or self.flip) and len(pictures):
            pictures = augmented(pictures, counts, self.augment, self.flip)
        return self.sight(pictures).flatten(2).transpose(1, 2)
