"""A review followed by neutral words: how far back can each cell's answer lie?

Each cell learns the embedded reviews; the answer reads the last state alone. Then neutral words are appended to the
test reviews: words that no review holds (one unknown token to the model), or little words that every model knows.
Each cell is also trained a second time, with 0 to 100 unknown words after each training review.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.story.tables import Rows, spread, table
from gatewise.data.batches import bucketed_batches
from gatewise.data.reviews import load_reviews
from gatewise.data.tokenizer import UNK_ID, Tokenizer
from gatewise.synthetic.reader import Reader
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import label_indices, network_logits, text_embedding
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.recipe import divide
from gatewise.training.loop import fit
from gatewise.training.metrics import ClassCounts
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

OPTIONS = {
    "pooling": "last",
    "forget_bias": 1.0,
    "embedding_size": 64,
    "hidden_size": 32,
    "word_dropout": 0.1,  # in training, one word in ten is read as unknown
    "epochs": 12,
    "batch_size": 64,
    "warmup": 30,
    "ema": 0.98,
    "validation": 0.2,
    "device": "cpu",
}
DISTANCES = (0, 25, 50, 100, 200)
SEEDS = (0, 1, 2)
RATES = (3e-3, 1e-2)  # each seed takes the one with the better validation accuracy, without tails
TRAINED_TAIL, VALIDATED_TAIL = 100, 50
LITTLE = "the a of to in it this that on at with for"
LABELS = ["negative", "positive"]
ENTRANTS = {  # name: what of the recipe's network is changed
    "RNN (tanh)": {"cell": "rnn"},
    "RNN (ReLU), identity start": {"cell": "rnn"},  # and then its recurrent layer is replaced
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 1": {"cell": "lstm"},
    "GRU, chrono start": {"cell": "gru", "chrono": DISTANCES[-1]},
    "LSTM, chrono start": {"cell": "lstm", "chrono": DISTANCES[-1]},
}
Ids = NDArray[np.int32]


class Task:
    """Training, validation and test part of one seed as ids, and words to append."""

    def __init__(self, seed: int) -> None:
        config = ClassifyConfig(**OPTIONS, seed=seed)  # pyright: ignore[reportArgumentType]
        training, held_out = divide(load_reviews("train"), None, config)
        assert held_out is not None
        self.config = config
        self.tokenizer = Tokenizer.train(training.texts, "words", config.vocab_size)
        self.encoder = TextEncoder(self.tokenizer, config.max_length, config.truncate)
        self.training, self.validation, self.test = (
            (self.encoder.full(part.texts), label_indices(part, LABELS))
            for part in (training, held_out, load_reviews("test"))
        )
        known = [self.tokenizer.token_to_id(word) for word in LITTLE.split()]
        assert None not in known
        self.little = np.array(known, np.int32)

    def network(self, entrant: str) -> SequenceClassifier:
        config = replace(self.config, **ENTRANTS[entrant])
        empty = torch.zeros(0, dtype=torch.int64)
        embedding = text_embedding(config, self.tokenizer.vocab_size, empty)
        network = SequenceClassifier(config, len(LABELS), embedding=embedding)
        if "identity" in entrant:
            network.recurrent = Reader("irnn", config.embedding_size, config.hidden_size, 1).recurrent
        return network

    def accuracy(self, model: nn.Module, arrays: list[Ids], targets: NDArray[np.int64]) -> ClassCounts:
        assert isinstance(model, SequenceClassifier)
        return ClassCounts.of(network_logits(model, self.encoder, arrays), targets)


def unknown_tail(ids: Ids, count: int) -> Ids:
    return np.concatenate([ids, np.full(count, UNK_ID, np.int32)])


def train(task: Task, entrant: str, rate: float, *, tails: bool) -> tuple[SequenceClassifier, float]:
    """The network with the best weights by validation accuracy, and that accuracy."""
    config = task.config
    torch.manual_seed(config.seed)
    network = task.network(entrant)
    arrays, targets = task.training
    draws = np.random.default_rng(config.seed)

    def batches(epoch: int) -> list[list[int]]:
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        return bucketed_batches([len(array) for array in arrays], config.batch_size, order)

    def loss(model: nn.Module, batch: list[int]) -> Sum:
        added = (
            draws.integers(0, TRAINED_TAIL, len(batch), endpoint=True) if tails else np.zeros(len(batch), int)
        )
        x, lengths = task.encoder.collate(
            [unknown_tail(arrays[k], n) for k, n in zip(batch, added, strict=True)]
        )
        logits = model(x, lengths)
        return Sum(cross_entropy(logits, torch.from_numpy(targets[batch]), reduction="sum"), len(batch))

    held_out = [unknown_tail(ids, VALIDATED_TAIL if tails else 0) for ids in task.validation[0]]

    def evaluate(model: nn.Module) -> dict[str, float]:
        counts = task.accuracy(model, held_out, task.validation[1])
        return {"accuracy": counts.accuracy, "loss": counts.loss}

    options = LoopOptions(config.epochs, rate, warmup=config.warmup, ema=config.ema, clip=config.clip)
    outcome = fit(network, batches, loss, options, evaluate=evaluate)
    return network, max(row["validation_accuracy"] for row in outcome.history)


def by_distance(task: Task, network: SequenceClassifier) -> dict[str, list[float]]:
    arrays, targets = task.test
    draws = np.random.default_rng(task.config.seed)
    tails = {
        "unknown": lambda ids, n: unknown_tail(ids, n),
        "known": lambda ids, n: np.concatenate([ids, draws.choice(task.little, n)]),
    }
    return {
        name: [task.accuracy(network, [tail(ids, n) for ids in arrays], targets).accuracy for n in DISTANCES]
        for name, tail in tails.items()
    }


def measure() -> Iterator[dict[str, Any]]:
    """One row for each seed, entrant and kind of training: accuracy on the test part by distance."""
    for seed in SEEDS:
        task = Task(seed)
        for entrant in ENTRANTS:
            tried = {rate: train(task, entrant, rate, tails=False) for rate in RATES}
            rate = max(tried, key=lambda r: tried[r][1])
            networks = {False: tried[rate][0], True: train(task, entrant, rate, tails=True)[0]}
            for tails, network in networks.items():
                about = {"entrant": entrant, "tails": tails, "seed": seed, "rate": rate}
                yield about | by_distance(task, network)


def tables(rows: Rows) -> str:
    return "\n\n".join(
        table(
            [title, *(f"{n} words" for n in DISTANCES)],
            [[name, *_columns(rows, name, words, tails=tails)] for name in ENTRANTS],
        )
        for title, tails, words in (
            ("unknown words", False, "unknown"),
            ("known little words", False, "known"),
            ("unknown words, trained with 0 to 100 of them", True, "unknown"),
        )
    )


def _columns(rows: Rows, entrant: str, words: str, *, tails: bool) -> list[str]:
    seeds = [row[words] for row in rows if row["entrant"] == entrant and row["tails"] == tails]
    return [spread(column) for column in zip(*seeds, strict=True)]
