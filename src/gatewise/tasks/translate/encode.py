"""Pairs as token numbers: the vocabularies of the two sides, and what begins and ends a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.data.batches import pad_ids
from gatewise.data.lines import encode
from gatewise.data.pairs import Pairs
from gatewise.data.tokenizer import PAD_ID, UNK_ID, Encoded, Tokenizer
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids, begin_of, begun_and_ended, end_of
from gatewise.errors import DataError
from gatewise.tasks.translate.config import TranslateConfig


@dataclass(frozen=True)
class PairEncoder:
    """Sources and targets as numbers.

    Args:
        source, target: the vocabularies; one and the same where they are shared.
        max_length: most tokens of a source; a longer one is cut.
    """

    source: Tokenizer
    target: Tokenizer
    max_length: int

    @classmethod
    def train(cls, pairs: Pairs, config: TranslateConfig) -> PairEncoder:
        """Vocabularies of the training part alone.

        Raises:
            DataError: no word occurs often enough to be in one.
        """
        sides = (pairs.sources, pairs.targets)
        texts = [[*sides[0], *sides[1]]] * 2 if config.shared else sides
        first = Tokenizer.train(texts[0], config.tokenizer, config.vocab_size)  # pyright: ignore[reportArgumentType]
        second = first if config.shared else Tokenizer.train(texts[1], config.tokenizer, config.vocab_size)  # pyright: ignore[reportArgumentType]
        for vocabulary in (first, second):
            _check_filled(vocabulary, pairs)
        return cls(first, second, config.max_length)

    @property
    def shared(self) -> bool:
        return self.source is self.target

    @property
    def begin(self) -> int:
        """The token before a target's first."""
        return begin_of(self.target)

    @property
    def end(self) -> int:
        """The token after a target's last one."""
        return end_of(self.target)

    def sources(self, texts: Sequence[str]) -> list[Ids]:
        """Sources as numbers, cut to `max_length`."""
        return self.cut(self.whole_sources(texts))

    def whole_sources(self, texts: Sequence[str]) -> list[Ids]:
        """Sources as numbers, however long.

        Raises:
            UsageError: a text that is not UTF-8.
        """
        return _encoded(self.source, texts, "source")

    def cut(self, sources: Sequence[Ids]) -> list[Ids]:
        """What is read of whole sources: the first `max_length` tokens."""
        return [ids[: self.max_length] for ids in sources]

    def as_read(self, text: str, ids: Ids) -> Encoded:
        """The tokens `ids`, with which a source begins, as they stand in it.

        Of a long text no more is cut into tokens than they need: what is known of a token takes a hundred times its
        number.
        """
        size = 20 * len(ids) + 1  # characters
        while True:
            found = self.source.encode(text[:size])
            # The last token may be cut in two, and so may be another than in the whole text.
            if size >= len(text) or (len(found) > len(ids) and found.ids[: len(ids)] == ids.tolist()):
                return found.take(range(len(ids)))
            size *= 4

    def targets(self, texts: Sequence[str]) -> list[Ids]:
        """Targets as numbers, without begin and end; errors as of `whole_sources`."""
        return _encoded(self.target, texts, "target")


def _encoded(vocabulary: Tokenizer, texts: Sequence[str], side: str) -> list[Ids]:
    for text in texts:
        if not text.isascii():
            encode(text, f"the {side}")
    return vocabulary.encode_ids(texts)


def _check_filled(vocabulary: Tokenizer, pairs: Pairs) -> None:
    if vocabulary.vocab_size <= len((PAD_ID, UNK_ID)):
        raise DataError(
            f"{pairs.source}: in {count(len(pairs), 'training pair')} no word occurs twice, so the vocabulary is "
            "empty; give more, or use the tokenizer bpe"
        )


def note_of_cut_source(whole: int, read: int) -> str:
    """One sentence on a source of which only the beginning was read."""
    return f"of {whole:,} tokens of the source the first {read:,} were read (max_length)"


def note_of_cut_sources(cut: int, sources: int, max_length: int) -> str:
    """The same of several."""
    return f"of {cut:,} of {sources:,} sources only the first {max_length:,} tokens were read (max_length)"


@dataclass(frozen=True)
class Batch:
    """Pairs side by side.

    Attributes:
        sources: [S, B] int64, and their lengths [B].
        inputs: begin and the target, [T, B]; `wanted`: the target and end, [T, B]; their lengths [B].
    """

    sources: Tensor
    source_lengths: Tensor
    inputs: Tensor
    wanted: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device) for part in vars(self).values()))

    @property
    def inside(self) -> Tensor:
        """The steps within each target, [T, B] bool."""
        return torch.arange(len(self.wanted), device=self.wanted.device)[:, None] < self.lengths


def collate(sources: Sequence[Ids], targets: Sequence[Ids], encoder: PairEncoder) -> Batch:
    """Numbers of some pairs as a batch."""
    return Batch(*pad_ids(sources), *begun_and_ended(targets, encoder.begin, encoder.end))
