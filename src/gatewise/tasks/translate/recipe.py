"""From pairs of texts to a trained translator: split, encode, train, measure, save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gatewise.data.batches import bucketed_batches
from gatewise.data.pairs import Pairs
from gatewise.data.split import draw
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids, shared_figures
from gatewise.errors import DataError
from gatewise.tasks.translate.config import TASK, TranslateConfig
from gatewise.tasks.translate.encode import Batch, PairEncoder, collate
from gatewise.tasks.translate.fitted import FittedTranslator, make_network, token_figures
from gatewise.training.distributed import shard
from gatewise.training.job import Job
from gatewise.training.options import Outcome
from gatewise.training.recipe import Training, begin_training, hashes_of, notes_of, sources
from gatewise.training.recipe_config import with_full_paths
from gatewise.training.sums import Sum


@dataclass(frozen=True)
class Part:
    """Encoded pairs."""

    sources: list[Ids]
    targets: list[Ids]

    def __len__(self) -> int:
        return len(self.sources)


def train_pairs(
    train: Pairs,
    config: TranslateConfig,
    *,
    validation: Pairs | None = None,
    job: Job | None = None,
    **options: Any,
) -> FittedTranslator:
    """Train on pairs.

    Args:
        train: `config.validation` of it is held out by `config.seed`; pairs of one source stay together.
        validation: a part of your own for validation; nothing of `train` is then held out.
        options: fields of `Job` (out, overwrite, resume, …), or a whole `job`.

    Raises:
        DataError: no pair is left to train on. RunError: `out` is taken.
        UsageError: options that do not fit the data or the machine. GatewiseError: the loss is not finite.
    """
    job = job or Job(**options)
    part, held_out = (train, validation) if validation is not None else divide(train, config)
    hashes, notes = hashes_of(train, validation), notes_of(train, validation)
    with begin_training(config, job, task=TASK, hashes=hashes, notes=notes) as training:
        encoder = PairEncoder.train(part, config)
        encoded = _encode(part, encoder, config, training.notes)
        measured = _encode(held_out, encoder, None, training.notes) if held_out is not None else None
        network = make_network(config, encoder)
        outcome = _fit(training, network, encoder, encoded, measured)
        fitted = FittedTranslator(config, network.train(False), encoder, history=outcome.history)
        fitted.metrics = training.described(
            outcome,
            network,
            **sources(_source, train, validation),
            split=training.split(part, held_out, "of the sources held out"),
        )
        if held_out is not None and training.processes.is_first:
            fitted.metrics["validation"] = fitted.evaluate(held_out)
        training.save(fitted.write_files)
    return fitted


def with_data_places(config: TranslateConfig, train: Pairs) -> TranslateConfig:
    """The options with absolute paths and the columns that were read, so that they read the same data anywhere."""
    source, target = train.columns or ("", "")
    return with_full_paths(config, source=source, target=target)


def divide(train: Pairs, config: TranslateConfig) -> tuple[Pairs, Pairs | None]:
    """The training and the validation part; pairs of one source are on one side. None when nothing is held out.

    Raises:
        DataError: all pairs have one and the same source, so that none can be held out.
    """
    if not config.validation:
        return train, None
    groups: dict[str, list[int]] = {}
    for k, source in enumerate(train.sources):
        groups.setdefault(source, []).append(k)
    if len(groups) < 2:
        raise DataError(
            f"{train.source}: {count(len(train), 'pair')} of one source; give more, or set validation to 0"
        )
    members = list(groups.values())
    inside, outside = (
        sorted(k for group in side for k in members[group])
        for side in draw(len(members), config.validation, config.seed)
    )
    return train.subset(inside), train.subset(outside)


@dataclass(frozen=True)
class Some:
    """The pairs of a batch, and the share of the decoder's inputs that are its own guesses."""

    pairs: Sequence[int]
    own_tokens: float

    def shard(self, rank: int, world: int) -> Some:
        return Some(shard(self.pairs, rank, world), self.own_tokens)


def _fit(
    training: Training[TranslateConfig],
    network: nn.Module,
    encoder: PairEncoder,
    train: Part,
    validation: Part | None,
) -> Outcome:
    config, processes = training.config, training.processes
    lengths = [len(source) + len(target) for source, target in zip(train.sources, train.targets, strict=True)]

    def batches(epoch: int) -> list[Some]:
        order = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        own = config.own_tokens * epoch / max(1, config.epochs - 1)
        return [Some(batch, own) for batch in bucketed_batches(lengths, config.batch_size, order)]

    def prepare(batch: Some) -> tuple[Batch, float]:
        some = collate(
            [train.sources[k] for k in batch.pairs], [train.targets[k] for k in batch.pairs], encoder
        )
        return some, batch.own_tokens

    def loss(model: nn.Module, batch: tuple[Batch, float]) -> Sum:
        logits, wanted = model(batch[0].to(processes.device), batch[1])
        total = cross_entropy(logits, wanted, reduction="sum", label_smoothing=config.label_smoothing)
        return Sum(total, len(wanted))

    def figures(model: nn.Module, own: Sequence[int]) -> tuple[float, float, float]:
        assert validation
        sources, targets = [validation.sources[k] for k in own], [validation.targets[k] for k in own]
        return token_figures(model, encoder, sources, targets)

    evaluate = shared_figures(figures, len(validation), processes) if validation else None
    return training.fit(network, batches, loss, prepare=prepare, evaluate=evaluate)


def _encode(pairs: Pairs, encoder: PairEncoder, config: TranslateConfig | None, notes: list[str]) -> Part:
    """Pairs as numbers; for training (with `config`) those that are too long, or have no source, are left out."""
    targets, sources = encoder.targets(pairs.targets), encoder.whole_sources(pairs.sources)
    if config is None:
        return Part(encoder.cut(sources), targets)
    sizes = [(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
    kept = [k for k, size in enumerate(sizes) if size[0] and max(size) <= config.max_length]
    limits = f"a source without tokens or a side with more than {config.max_length} (max_length)"
    if not kept:
        raise DataError(f"{pairs.source}: all of {count(len(pairs), 'pair')} have {limits}")
    if len(kept) < len(pairs):
        left_out = count(len(pairs) - len(kept), "training pair")
        notes.append(f"{left_out} of {len(pairs):,} left out, with {limits}")
    return Part([sources[k] for k in kept], [targets[k] for k in kept])


def _source(data: Pairs) -> dict[str, Any]:
    return {"source": data.source, "sha256": data.sha256, "examples": len(data)}
