"""From labelled texts or series to a trained classifier: split, encode, train, calibrate, measure, save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatewise.data.batches import bucketed_batches
from gatewise.data.lines import file_sha256
from gatewise.data.scaler import Scaler
from gatewise.data.series import Series
from gatewise.data.split import split
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.data.vectors import read_vectors
from gatewise.errors import DataError, UsageError
from gatewise.tasks.classify.config import TASK, ClassifyConfig
from gatewise.tasks.classify.embedding import frequent_pairs
from gatewise.tasks.classify.encode import Arrays, Encoder, SeriesEncoder, TextEncoder, cut_note
from gatewise.tasks.classify.fitted import (
    FittedClassifier,
    Label,
    label_indices,
    network_logits,
    text_embedding,
)
from gatewise.tasks.classify.gradients import watched_gradients
from gatewise.tasks.classify.measuring import baselines, before_and_after, calibrate, keeping
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.pretrained import LanguageModelStart
from gatewise.training.distributed import Processes
from gatewise.training.job import Job
from gatewise.training.metrics import ClassCounts
from gatewise.training.options import Outcome
from gatewise.training.recipe import Training, begin_training, hashes_of, notes_of, sources
from gatewise.training.recipe_config import with_full_paths
from gatewise.training.sums import Sum

Data = TypeVar("Data", Texts, Series)


@dataclass(frozen=True)
class Part:
    """Encoded examples: arrays as the encoder gives them, and the places of their labels [N]."""

    arrays: Arrays
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class ClassifyJob(Job):
    """What the training of a classifier is told besides.

    Args:
        labels: their order; else sorted.
        baselines: whether simpler models are measured on the validation part too (`measuring.baselines`).
        watch_gradients: steps between two measurements of how far back gradients reach; 0: none. It changes no weight.

    Raises:
        UsageError: `watch_gradients` below 0.
    """

    labels: Sequence[Label] | None = None
    baselines: bool = True
    watch_gradients: int = 0

    def __post_init__(self) -> None:
        if self.watch_gradients < 0:
            raise UsageError(
                f"watch_gradients is {self.watch_gradients}; it is a number of steps, or 0 for none"
            )


def train_texts(
    train: Texts,
    config: ClassifyConfig,
    *,
    validation: Texts | None = None,
    job: ClassifyJob | None = None,
    **options: Any,
) -> FittedClassifier:
    """Train on texts.

    Args:
        train: with labels; `config.validation` of it is held out by `config.seed`, stratified by label.
        validation: a part of your own for validation; nothing of `train` is then held out.
        options: fields of `ClassifyJob` (out, overwrite, resume, …), or a whole `job`.

    Raises:
        DataError: fewer than two labels; a validation label that the training part lacks.
        RunError: `out` is taken. UsageError: options that do not fit the data or the machine.
        GatewiseError: the loss is not finite.
    """
    job = job or ClassifyJob(**options)
    part, held_out = divide(train, validation, config)
    start = LanguageModelStart.read(config.language_model) if config.language_model else None
    if start:
        config, tokenizer = start.applied_to(config), start.tokenizer
    else:
        tokenizer = Tokenizer.train(part.texts, config.tokenizer, config.vocab_size)  # pyright: ignore[reportArgumentType]
    encoder = TextEncoder(tokenizer, config.max_length, config.truncate)
    return _train(part, held_out, encoder, config, job, given=validation is not None, start=start)


def train_series(
    train: Series,
    config: ClassifyConfig,
    *,
    validation: Series | None = None,
    job: ClassifyJob | None = None,
    **options: Any,
) -> FittedClassifier:
    """Train on numeric sequences; scaling is fitted on the training part alone. Else as `train_texts`."""
    job = job or ClassifyJob(**options)
    if config.language_model:
        raise UsageError(f"a language model ({config.language_model}) is no start for numeric sequences")
    part, held_out = divide(train, validation, config)
    encoder = SeriesEncoder(Scaler.fit(part.values), config.max_length, config.truncate, train.features)
    return _train(part, held_out, encoder, config, job, given=validation is not None)


def divide(train: Data, validation: Data | None, config: ClassifyConfig) -> tuple[Data, Data | None]:
    """The training and the validation part; the latter is None when nothing is to be held out.

    An example is one text, or one series by its ID, so no ID is on both sides; nor is a group of texts.

    Raises:
        DataError: no labels, fewer than two, or only one example of each, so that nothing can be held out.
    """
    if train.labels is None:
        raise DataError(f"{train.source}: there are no labels to learn")
    if len(set(train.labels)) < 2:
        raise DataError(f"{train.source}: every label is {train.labels[0]!r}; two labels are needed")
    if validation is not None or config.validation == 0:
        return train, validation
    if len(set(train.labels)) == len(train.labels):
        raise DataError(
            f"{train.source}: there is one example of each of the {len(train)} labels, so none can be held out for "
            "validation; give more, or set validation to 0"
        )
    groups = train.groups if isinstance(train, Texts) else None
    inside, outside = split(train.labels, config.validation, config.seed, groups)
    return train.subset(inside.tolist()), train.subset(outside.tolist())


def _train(
    train: Data,
    validation: Data | None,
    encoder: Encoder,
    config: ClassifyConfig,
    job: ClassifyJob,
    *,
    given: bool,
    start: LanguageModelStart | None = None,
) -> FittedClassifier:
    own = validation if given else None  # what is held out has the hash and the notes of the whole
    hashes, notes = hashes_of(train, own), notes_of(train, own)
    if start:
        hashes["language model"] = start.sha256
    with begin_training(config, job, task=TASK, hashes=hashes, notes=notes) as training:
        labels: list[Label] = [*(job.labels or sorted(set(train.labels or [])))]
        part = _encode(train, encoder, labels, training.notes, "training")
        held_out = (
            _encode(validation, encoder, labels, training.notes, "validation")
            if validation is not None
            else None
        )
        network = _network(part.arrays, encoder, len(labels), config, training.notes, start)
        if config.vectors:
            training.hashes["vectors"] = file_sha256(Path(config.vectors))
        validated = held_out if held_out is not None and len(held_out.targets) else None
        observed = validated or part
        before = keeping(network.train(False), encoder, observed.arrays)
        outcome = _fit(training, job, network, encoder, part, held_out, observed)
        fitted = FittedClassifier(config, network, encoder, labels, history=outcome.history)
        fitted.metrics = training.described(
            outcome,
            network,
            **sources(_source, train, own),
            **_start_of(start),
            split=training.split(train, validation, "held out by label"),
        )
        if validated is None:
            training.notes.append(_NOT_VALIDATED)
        else:
            fitted.metrics |= calibrate(fitted, validated.arrays, validated.targets)
        if validated is not None and validation is not None and job.baselines and training.processes.is_first:
            fitted.metrics["baselines"] = baselines(train, validation, fitted)
        fitted.metrics |= before_and_after(
            before,
            keeping(network, encoder, observed.arrays),
            len(observed.targets),
            "training" if validated is None else "validation",
        )
        training.save(fitted.write_files)
    return fitted


_NOT_VALIDATED = "no validation part: weights of the last step, and probabilities that are not calibrated"


def _encode(data: Texts | Series, encoder: Encoder, labels: list[Label], notes: list[str], name: str) -> Part:
    targets = label_indices(data, labels)
    arrays = encoder.full(encoder.inputs(data))
    notes += cut_note(encoder, arrays, name)
    return Part(encoder.cut(arrays), targets)


def _network(
    arrays: Arrays,
    encoder: Encoder,
    classes: int,
    config: ClassifyConfig,
    notes: list[str],
    start: LanguageModelStart | None,
) -> SequenceClassifier:
    if isinstance(encoder, SeriesEncoder):
        return SequenceClassifier(config, classes, features=len(encoder.scaler.mean))
    tokenizer = encoder.tokenizer
    wide = [array.astype(np.int64) for array in arrays] if config.bigrams else []
    pairs = frequent_pairs(wide, tokenizer.vocab_size, config.bigrams)
    vectors = _vectors(config, tokenizer, notes) if config.vectors else start.vectors if start else None
    embedding = text_embedding(config, tokenizer.vocab_size, pairs, vectors)
    network = SequenceClassifier(config, classes, embedding=embedding)
    if start:
        start.give_layers(network)
        notes.append(start.note)
    return network


def _vectors(config: ClassifyConfig, tokenizer: Tokenizer, notes: list[str]) -> Tensor:
    """Vectors of a file for the vocabulary, NaN where it has none; [V, E]."""
    read = read_vectors(config.vectors, tokenizer.vocabulary)
    width = read.matrix.shape[1]
    if width != config.embedding_size:
        raise UsageError(
            f"{config.vectors}: vectors of width {width}, and embedding_size is {config.embedding_size}"
        )
    notes.append(f"{config.vectors}: {read.report}")
    return torch.from_numpy(np.where(read.found[:, None], read.matrix, np.float32(np.nan)))


def _fit(
    training: Training[ClassifyConfig],
    job: ClassifyJob,
    network: SequenceClassifier,
    encoder: Encoder,
    train: Part,
    validation: Part | None,
    observed: Part,
) -> Outcome:
    config, processes, device = training.config, training.processes, training.processes.device
    lengths = [len(array) for array in train.arrays]
    weights = _class_weights(train.targets, config)

    def batches(epoch: int) -> list[list[int]]:
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        return bucketed_batches(lengths, config.batch_size, order)

    def prepare(batch: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        return *encoder.collate([train.arrays[i] for i in batch]), torch.from_numpy(train.targets[batch])

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Sum:
        x, sizes, targets = (part.to(device) for part in batch)
        total = cross_entropy(model(x, sizes), targets, weights.to(device), reduction="sum")
        return Sum(total, weights[batch[2]].sum().item())

    with watched_gradients(
        job.watch_gradients, encoder, observed.arrays, observed.targets,
        processes, training.report, training.folder,
    ) as callbacks:  # fmt: skip
        return training.fit(
            network.to(device),
            batches,
            loss,
            metric="accuracy",
            prepare=prepare,
            evaluate=_evaluation(encoder, validation, processes) if validation else None,
            callbacks=callbacks,
        )


def _evaluation(
    encoder: Encoder, part: Part, processes: Processes
) -> Callable[[nn.Module], dict[str, float]]:
    """Figures over the whole part, of which each process reads its share; the same in all of them."""

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SequenceClassifier)
        own = [part.arrays[k] for k in processes.shard(range(len(part.arrays)))]
        logits = processes.whole(torch.from_numpy(network_logits(model, encoder, own)))
        counts = ClassCounts.of(logits.numpy(), part.targets)
        return {"accuracy": counts.accuracy, "loss": counts.loss}

    return evaluate


def _class_weights(targets: NDArray[np.int64], config: ClassifyConfig) -> Tensor:
    """Weights of the labels in the loss: 1, or N / (K · n_k), with which every label weighs the same. [K]"""
    counts = np.bincount(targets)
    if config.class_weights == "none":
        return torch.ones(len(counts))
    return torch.from_numpy(len(targets) / (len(counts) * counts)).float()


def with_data_columns(config: ClassifyConfig, data: Texts | Series) -> ClassifyConfig:
    """The config with the files (in full) and the columns that were read: it reproduces the run from anywhere."""
    if isinstance(data, Texts):
        return with_full_paths(config, text=data.text_column or "", label=data.label_column or "")
    return with_full_paths(config, features=tuple(data.features))


def _source(data: Texts | Series) -> dict[str, Any]:
    return {
        "source": data.source,
        "sha256": data.sha256,
        "examples": len(data),
        "labels": dict(sorted(Counter(data.labels or []).items())),
    }


def _start_of(start: LanguageModelStart | None) -> dict[str, Any]:
    return {"language_model": {"source": start.place, "sha256": start.sha256}} if start else {}
