"""From pictures with sentences to a trained captioner: split, look, encode, train, measure, save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatewise.data.captions import Captions
from gatewise.data.split import draw
from gatewise.data.tokenizer import Tokenizer
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids, shared_figures
from gatewise.errors import DataError
from gatewise.tasks.caption.config import TASK, CaptionConfig
from gatewise.tasks.caption.encode import Batch, Looker, collate, encode_sentences
from gatewise.tasks.caption.fitted import FittedCaptioner, caption_sums, check_kind, make_network, source_of
from gatewise.training.job import Job
from gatewise.training.options import Outcome
from gatewise.training.recipe import Training, begin_training, hashes_of, notes_of, sources
from gatewise.training.recipe_config import with_full_paths
from gatewise.training.sums import Sum

FEATURES = "features"
"""The folder in a run where features are kept, unless the options name one."""


@dataclass(frozen=True)
class Part:
    """Pictures as the network sees them, and their sentences as numbers."""

    sights: list[Tensor]
    sentences: list[list[Ids]]

    def __len__(self) -> int:
        return len(self.sights)


def train_captions(
    train: Captions,
    config: CaptionConfig,
    *,
    validation: Captions | None = None,
    job: Job | None = None,
    **options: Any,
) -> FittedCaptioner:
    """Train on pictures, or clips, with their sentences.

    Args:
        train: `config.validation` of its pictures is held out by `config.seed`, each with all its sentences.
        validation: a part of your own for validation; nothing of `train` is then held out.
        options: fields of `Job` (out, overwrite, resume, …), or a whole `job`.

    Raises:
        DataError: a broken picture, or too few of them. RunError: `out` is taken.
        UsageError: options that do not fit the data or the machine. GatewiseError: the loss is not finite.
    """
    job = job or Job(**options)
    config = replace(config, video=train.video)
    if validation is not None:
        check_kind(validation, config)
    part, held_out = (train, validation) if validation is not None else divide(train, config)
    hashes, notes = hashes_of(train, validation), notes_of(train, validation)
    with begin_training(config, job, task=TASK, hashes=hashes, notes=notes) as training:
        looker = Looker(config, _cache(config, training.folder), training.processes.device)
        vocabulary = Tokenizer.train(
            [text for some in part.captions for text in some],
            config.tokenizer,  # pyright: ignore[reportArgumentType]
            config.vocab_size,
        )
        encoded = _encode(part, looker, vocabulary, config, training.notes)
        measured = _encode(held_out, looker, vocabulary, config, []) if held_out is not None else None
        if config.features and not config.blind:
            config = training.config = replace(config, feature_size=encoded.sights[0].shape[-1])
        network = make_network(config, vocabulary)
        outcome = _fit(training, network, vocabulary, encoded, measured)
        fitted = FittedCaptioner(config, network.train(False), vocabulary, history=outcome.history)
        fitted.metrics = training.described(
            outcome,
            network,
            **sources(source_of, train, validation),
            split=training.split(part, held_out, "of the pictures held out"),
        )
        if held_out is not None and measured is not None and training.processes.is_first:
            fitted.metrics["validation"] = fitted.evaluate_on(measured.sights, held_out)
        training.save(fitted.write_files)
    return fitted


def with_data_places(config: CaptionConfig, train: Captions) -> CaptionConfig:
    """The options with absolute paths and the columns that were read, so that they read the same data anywhere."""
    image, caption = train.columns or ("", "")
    return with_full_paths(config, image=image, caption=caption, video=train.video)


def divide(train: Captions, config: CaptionConfig) -> tuple[Captions, Captions | None]:
    """The training and the validation part, whole pictures each. None when nothing is held out.

    Raises:
        DataError: a single picture, so that none can be held out.
    """
    if not config.validation:
        return train, None
    if len(train) < 2:
        raise DataError(
            f"{train.source}: sentences of {count(len(train), 'picture')}; give more, or set validation to 0"
        )
    inside, outside = draw(len(train), config.validation, config.seed)
    return train.subset(inside), train.subset(outside)


def _cache(config: CaptionConfig, folder: Path | None) -> Path | None:
    if config.cache:
        return Path(config.cache)
    return folder / FEATURES if folder else None


def _encode(
    data: Captions, looker: Looker, vocabulary: Tokenizer, config: CaptionConfig, notes: list[str]
) -> Part:
    sentences, cut = encode_sentences(vocabulary, data.captions, config.max_length)
    if cut:
        notes.append(
            f"{count(cut, 'training sentence')} of {data.sentences:,} cut to {config.max_length} tokens (max_length)"
        )
    return Part([looker(files) for files in data.files], sentences)


def _fit(
    training: Training[CaptionConfig],
    network: nn.Module,
    vocabulary: Tokenizer,
    train: Part,
    validation: Part | None,
) -> Outcome:
    config, processes = training.config, training.processes

    def batches(epoch: int) -> list[list[int]]:
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        shuffled = torch.randperm(len(train), generator=order)
        return [batch.tolist() for batch in shuffled.split(config.batch_size)]

    def prepare(batch: Sequence[int]) -> Batch:
        return collate([train.sights[k] for k in batch], [train.sentences[k] for k in batch], vocabulary)

    def loss(model: nn.Module, batch: Batch) -> Sum:
        logits, wanted, unlike_one = model(batch.to(processes.device))
        total = cross_entropy(logits, wanted, reduction="sum", label_smoothing=config.label_smoothing)
        return Sum(total + config.doubly_stochastic * unlike_one, len(wanted), shown=total)

    def figures(model: nn.Module, own: Sequence[int]) -> tuple[float, float, float]:
        assert validation
        sights, sentences = [validation.sights[k] for k in own], [validation.sentences[k] for k in own]
        return caption_sums(model, vocabulary, sights, sentences)

    evaluate = shared_figures(figures, len(validation), processes) if validation else None
    return training.fit(network, batches, loss, prepare=prepare, evaluate=evaluate)
