"""The network of the translate recipe: an encoder that reads the source, and the attentional decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from gatewise.data.tokenizer import PAD_ID, UNK_ID
from gatewise.decoding.decoder import AttentionalDecoder, Decoding
from gatewise.layers.building import build_recurrent
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.encode import Batch


class Translator(nn.Module):
    """Logits of the next target token.

    Args:
        sources: V_s, tokens of the sources' vocabulary.
        targets: V_t, tokens of the targets' with begin and end; with a shared vocabulary sources are among them.
        shared: one embedding for both sides.

    The decoder starts from tanh(W m + b), with m the mean of the encoder's states; see `AttentionalDecoder`.
    """

    def __init__(self, config: TranslateConfig, sources: int, targets: int, *, shared: bool) -> None:
        super().__init__()
        self.dropout, self.word_dropout = config.dropout, config.word_dropout
        self.bf16 = config.precision == "bf16"
        embedding = _embedding(targets, config.embedding_size)
        # Shared, it is the decoder's alone, so that a state dict holds it once.
        self.source_embedding = None if shared else _embedding(sources, config.embedding_size)
        self.encoder = build_recurrent(
            config.cells, config.embedding_size, config.hidden_size, config.encoder_layers,
            dropout=config.dropout, bidirectional=config.bidirectional, forget_bias=config.forget_bias,
        )  # fmt: skip
        size = config.hidden_size * (2 if config.bidirectional else 1)
        self.decoder = AttentionalDecoder(
            embedding, config.hidden_size, size, size,
            cells=config.cells, num_layers=config.decoder_layers, attention=config.attention, tied=config.tied,
            dropout=config.dropout, forget_bias=config.forget_bias,
        )  # fmt: skip

    def read(self, sources: Tensor, lengths: Tensor) -> Decoding:
        """The decoder's state before the first token, of sources [S, B] with lengths [B]."""
        if self.training and self.word_dropout:
            unread = torch.rand(sources.shape, device=sources.device) < self.word_dropout
            sources = torch.where(unread, UNK_ID, sources)
        embedding = self.source_embedding or self.decoder.embedding
        embedded = dropout(embedding(sources), self.dropout, self.training)
        states, _ = self.encoder(embedded, lengths=lengths)  # [S, B, M], zero beyond a length
        states = dropout(states, self.dropout, self.training)
        summary = states.sum(0) / lengths.clamp(min=1)[:, None]
        return self.decoder.begin(states, lengths, summary)

    def forward(self, batch: Batch, own_tokens: float = 0.0) -> tuple[Tensor, Tensor]:
        """Logits of every token that is wanted.

        Args:
            own_tokens: share of the inputs that are the model's own best guesses instead of the target's tokens
                (Bengio 2015, "Scheduled sampling"; here all guesses are made at once, from the true tokens, so that
                the decoder stays one call: Mihaylova & Martins 2019, "Scheduled sampling for transformers").

        Returns: logits [N, V] of the N tokens inside the targets, and those tokens [N].
        """
        with torch.autocast(batch.sources.device.type, torch.bfloat16, enabled=self.bf16 and self.training):
            decoding = self.read(batch.sources, batch.source_lengths)
            inputs = self._mixed(batch.inputs, decoding, own_tokens) if own_tokens else batch.inputs
            read, _ = self.decoder(inputs, decoding)
        inside = batch.inside
        return self.decoder.logits(read[inside].float()), batch.wanted[inside]

    @torch.no_grad()
    def _mixed(self, inputs: Tensor, decoding: Decoding, share: float) -> Tensor:
        read, _ = self.decoder(inputs, decoding)
        guesses = (
            self.decoder.logits(read).argmax(-1).roll(1, 0)
        )  # the guess at t - 1 is what step t would read
        own = torch.rand(inputs.shape, device=inputs.device) < share
        own[0] = False  # the begin token
        return torch.where(own, guesses, inputs)


def _embedding(tokens: int, size: int) -> nn.Embedding:
    """Rows of variance 1 / size, so that tied logits begin with a variance near that of what is read."""
    embedding = nn.Embedding(tokens, size)
    with torch.no_grad():
        embedding.weight.normal_(std=size**-0.5)
        embedding.weight[PAD_ID] = 0
    return embedding
