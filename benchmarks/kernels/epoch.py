"""An epoch of IMDB: the classify recipe beside the same model with nn.LSTM, padded or packed.

The three models take their training steps (loss, backward, clipping, AdamW, moving average) in turns on the same
batches, a random part of the epoch's. Time is linear in batches, so the ratio of the sums is the epoch's.
"""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.kernels.figures import ratio_of_sums
from benchmarks.kernels.rows import NoFigureError, Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Results, Work, agree
from benchmarks.measure import Times
from gatewise.data.batches import bucketed_batches
from gatewise.data.texts import Texts, read_texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.layers import LSTM
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.embedding import frequent_pairs
from gatewise.tasks.classify.encode import Arrays, TextEncoder
from gatewise.tasks.classify.fitted import label_indices, text_embedding
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.recipe import divide
from gatewise.training.loop import Fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

_WARM_UP = 2


class Padded(nn.Module):
    """nn.LSTM over all steps, padding included; the pooling reads the valid ones."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, object]:
        return self.layer(x)


class Packed(Padded):
    """nn.LSTM over a packed batch."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, object]:
        output, state = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(output, total_length=len(x))[0], state


@dataclass(frozen=True)
class Task:
    """The recipe's training part as it is trained on, and its model.

    Attributes:
        batches: the epoch's, each the indices of its texts.
    """

    config: ClassifyConfig
    encoder: TextEncoder
    arrays: Arrays
    targets: Tensor
    batches: list[list[int]]
    network: SequenceClassifier

    def loss(self, model: nn.Module, batch: list[int]) -> Sum:
        x, lengths = self.encoder.collate([self.arrays[i] for i in batch])
        return Sum(cross_entropy(model(x, lengths), self.targets[batch], reduction="sum"), len(batch))


def task(texts: Texts, config: ClassifyConfig) -> Task:
    """What the recipe makes of these texts."""
    part, _ = divide(texts, None, config)
    tokenizer = Tokenizer.train(part.texts, "words", config.vocab_size)
    encoder = TextEncoder(tokenizer, config.max_length, config.truncate)
    arrays = encoder.cut(encoder.full(part.texts))
    labels = sorted(set(part.labels or []))
    targets = torch.from_numpy(label_indices(part, [*labels]))
    order = torch.Generator().manual_seed(config.seed)
    batches = bucketed_batches([len(array) for array in arrays], config.batch_size, order)
    torch.manual_seed(config.seed)
    embedding = text_embedding(config, tokenizer.vocab_size, frequent_pairs([], tokenizer.vocab_size, 0))
    network = SequenceClassifier(config, len(labels), embedding=embedding)
    return Task(config, encoder, arrays, targets, batches, network)


def models(network: SequenceClassifier) -> list[SequenceClassifier]:
    """The recipe's, and the same with nn.LSTM, padded and packed."""
    assert isinstance(network.recurrent, LSTM)
    found = [network]
    for kind in (Padded, Packed):
        other = copy.deepcopy(network)
        other.recurrent = kind(network.recurrent.to_torch())  # pyright: ignore[reportAttributeAccessIssue]
        found.append(other)
    return found


def _check(given: Task, compared: list[SequenceClassifier]) -> None:
    """Raise `WrongError` unless loss and gradients of a batch are the same without dropout."""

    def work(model: SequenceClassifier) -> Work:
        def run() -> Results:
            loss = given.loss(model.train(False), given.batches[0]).total
            gradients = torch.autograd.grad(loss, [*model.parameters()])
            # In one vector: that of attention's bias, which shifts all scores alike, is rounding and nothing else.
            return [loss, torch.cat([gradient.flatten() for gradient in gradients])]

        return Work(run)

    ours, *peers = (work(model) for model in compared)
    for peer in peers:
        agree(peer, ours)


def seconds(given: Task, count: int) -> Times:
    """Seconds of the first `count` training steps of ours, padded and packed, a row a batch: [count, 3]."""
    compared = models(given.network)
    _check(given, compared)
    config = given.config
    options = LoopOptions(
        config.epochs,
        config.learning_rate,
        config.warmup,
        config.weight_decay,
        ema=config.ema,
        clip=config.clip,
    )
    fits = [Fit(model.train(), lambda _: given.batches, given.loss, options) for model in compared]
    for batch in given.batches[:_WARM_UP]:
        for fit in fits:
            fit.one_step([batch])
    times = np.empty((count, len(fits)))
    for k, batch in enumerate(given.batches[:count]):
        for turn in range(len(fits)):
            which = (turn + k) % len(fits)
            start = time.perf_counter()
            fits[which].one_step([batch])
            times[k, which] = time.perf_counter() - start
    return times


def measure(settings: Settings) -> Iterator[Row]:
    @cache
    def measured() -> tuple[Times, str]:
        if not settings.imdb.is_file():
            raise NoFigureError("the training part of IMDB is not there (--imdb)")
        given = task(read_texts(settings.imdb), ClassifyConfig())
        count = max(round(settings.share * len(given.batches)), 1)
        what = f"{count} of {len(given.batches)} batches"
        return seconds(given, count), what

    def beside(column: int) -> list[Sample]:
        times, what = measured()
        return [Sample(what, times[:, [column, 0]])]

    for name, column in (("epoch-padded", 1), ("epoch-packed", 2)):
        yield row(name, lambda c=column: beside(c), ratio_of_sums)
