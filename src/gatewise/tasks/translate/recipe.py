"""From pairs of texts to a trained translator: split, encode, train, measure, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gatewise.data.batches import bucketed_batches
from gatewise.data.pairs import Pairs
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids
from gatewise.errors import DataError
from gatewise.tasks.translate.config import TASK, TranslateConfig
from gatewise.tasks.translate.encode import Batch, PairEncoder, collate
from gatewise.tasks.translate.fitted import FittedTranslator, make_network, token_figures
from gatewise.training import run as runs
from gatewise.training.config import dump_config
from gatewise.training.device import pick_device
from gatewise.training.distributed import Processes, shard
from gatewise.training.job import Job, job_reporter, run_folder, settings, stopped_early
from gatewise.training.loop import fit
from gatewise.training.options import FREE, LoopOptions, Outcome
from gatewise.training.progress import Reporter
from gatewise.training.provenance import trained, versions
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
    given = validation is not None
    part, held_out = (train, validation) if given else divide(train, config)
    with (
        Processes.current(pick_device(config.device)) as processes,
        run_folder(job, processes, keep_checkpoints=config.keep_checkpoints > 0) as folder,
        settings(processes.device, config.seed, config.threads),
    ):
        if folder and processes.is_first and not (folder / runs.CONFIG).exists():
            dump_config(config, folder / runs.CONFIG, task=TASK)
        report = job_reporter(job, folder, processes)
        notes = list(train.notes) + (
            [f"validation: {note}" for note in validation.notes] if validation else []
        )
        encoder = PairEncoder.train(part, config)
        encoded = _encode(part, encoder, config, notes)
        measured = _encode(held_out, encoder, None, notes) if held_out is not None else None
        for note in notes:
            report.note(note)
        network = make_network(config, encoder).to(processes.device)
        about = _about(config, train, validation)
        outcome = _fit(
            network, encoder, encoded, measured, config, report, folder, about, processes, resume=job.resumes
        )
        if outcome.stopped != "finished":
            notes.append(stopped_early(outcome))
            report.note(notes[-1])
        fitted = FittedTranslator(config, network.train(False), encoder, history=outcome.history)
        fitted.metrics = _described(train, validation, part, held_out, config, outcome, network) | {
            "command": job.command,
            "notes": notes,
        }
        if held_out is not None and processes.is_first:
            fitted.metrics["validation"] = fitted.evaluate(held_out)
        if folder and processes.is_first:
            fitted.write(folder)
    return fitted


def with_data_places(config: TranslateConfig, train: Pairs) -> TranslateConfig:
    """The options with absolute paths and the columns that were read, so that they read the same data anywhere."""
    names = ("data", "target_data", "validation_data", "validation_target_data")
    places = {name: str(Path(value).absolute()) for name in names if (value := getattr(config, name))}
    columns = dict(zip(("source", "target"), train.columns or ("", ""), strict=True))
    return replace(config, **places, **columns)


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
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(config.seed)).tolist()
    wanted = min(max(1, round(config.validation * len(groups))), len(groups) - 1)
    members = list(groups.values())
    outside = sorted(k for group in order[:wanted] for k in members[group])
    inside = sorted(k for group in order[wanted:] for k in members[group])
    return train.subset(inside), train.subset(outside)


@dataclass(frozen=True)
class Some:
    """The pairs of a batch, and the share of the decoder's inputs that are its own guesses."""

    pairs: Sequence[int]
    own_tokens: float

    def shard(self, rank: int, world: int) -> Some:
        return Some(shard(self.pairs, rank, world), self.own_tokens)


def _fit(
    network: nn.Module,
    encoder: PairEncoder,
    train: Part,
    validation: Part | None,
    config: TranslateConfig,
    report: Reporter,
    folder: Path | None,
    about: dict[str, Any],
    processes: Processes,
    *,
    resume: bool,
) -> Outcome:
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

    return fit(
        network,
        batches,
        loss,
        LoopOptions(**{name: getattr(config, name) for name in _SHARED}, metric="loss"),
        prepare=prepare,
        evaluate=_evaluation(encoder, validation, processes) if validation else None,
        report=report,
        processes=processes,
        folder=folder,
        resume=resume,
        about=about,
        config=dump_config(config, None, task=TASK),
    )


_SHARED = {item.name for item in fields(LoopOptions)} & {item.name for item in fields(TranslateConfig)}


def _evaluation(
    encoder: PairEncoder, part: Part, processes: Processes
) -> Callable[[nn.Module], dict[str, float]]:
    """Figures over the whole part, of which each process reads its share; the same in all of them."""

    def evaluate(model: nn.Module) -> dict[str, float]:
        own = processes.shard(range(len(part)))
        sums = token_figures(model, encoder, [part.sources[k] for k in own], [part.targets[k] for k in own])
        loss, right, tokens = processes.sum(list(sums))
        return {"loss": loss / tokens, "accuracy": right / tokens}

    return evaluate


def _encode(pairs: Pairs, encoder: PairEncoder, config: TranslateConfig | None, notes: list[str]) -> Part:
    """Pairs as numbers; for training (with `config`) those that are too long are left out."""
    targets = encoder.targets(pairs.targets)
    sources = encoder.sources(pairs.sources)
    if config is None:
        return Part(sources, targets)
    whole = encoder.source.encode_ids(pairs.sources)
    kept = [
        k
        for k in range(len(pairs))
        if max(len(whole[k]), len(targets[k])) <= config.max_length and len(whole[k])
    ]
    if not kept:
        raise DataError(
            f"{pairs.source}: no side of {count(len(pairs), 'pair')} has {config.max_length} tokens or fewer "
            "(max_length)"
        )
    if len(kept) < len(pairs):
        notes.append(
            f"{count(len(pairs) - len(kept), 'training pair')} of {len(pairs):,} left out, with more than "
            f"{config.max_length} tokens on a side (max_length)"
        )
    return Part([sources[k] for k in kept], [targets[k] for k in kept])


def _about(config: TranslateConfig, train: Pairs, validation: Pairs | None) -> dict[str, Any]:
    """What a training may not change when it is resumed: its options and its data, wherever these lie."""
    elsewhere = {"data", "target_data", "validation_data", "validation_target_data"}
    options = {
        name: value for name, value in asdict(config).items() if name not in FREE | elsewhere | _SEARCH
    }
    about = options | {"the SHA-256 of the training data": train.sha256}
    return about | ({"the SHA-256 of the validation data": validation.sha256} if validation else {})


_SEARCH = {"beams", "length_penalty", "coverage_penalty"}


def _described(
    train: Pairs,
    validation: Pairs | None,
    part: Pairs,
    held_out: Pairs | None,
    config: TranslateConfig,
    outcome: Outcome,
    network: nn.Module,
) -> dict[str, Any]:
    how = (
        "given"
        if validation is not None
        else f"{config.validation:g} of the sources held out, seed {config.seed}"
    )
    found: dict[str, Any] = {
        "format": 1,
        "task": TASK,
        "data": _source(train),
        "split": {"training": len(part), "validation": len(held_out or []), "how": how},
        "training": trained(outcome, network),
        "versions": versions(),
    }
    return found | ({"validation_data": _source(validation)} if validation is not None else {})


def _source(data: Pairs) -> dict[str, Any]:
    return {"source": data.source, "sha256": data.sha256, "examples": len(data)}
