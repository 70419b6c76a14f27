"""From pictures with sentences to a trained captioner: split, look, encode, train, measure, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatewise.data.captions import Captions
from gatewise.data.tokenizer import Tokenizer
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids
from gatewise.errors import DataError
from gatewise.tasks.caption.config import TASK, CaptionConfig
from gatewise.tasks.caption.encode import Batch, Looker, collate, encode_sentences
from gatewise.tasks.caption.fitted import FittedCaptioner, caption_sums, check_kind, make_network, source_of
from gatewise.training import run as runs
from gatewise.training.config import dump_config
from gatewise.training.device import pick_device
from gatewise.training.distributed import Processes
from gatewise.training.job import Job, job_reporter, run_folder, settings, stopped_early
from gatewise.training.loop import fit
from gatewise.training.options import FREE, LoopOptions, Outcome
from gatewise.training.progress import Reporter
from gatewise.training.provenance import trained, versions
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
    with (
        Processes.current(pick_device(config.device)) as processes,
        run_folder(job, processes, keep_checkpoints=config.keep_checkpoints > 0) as folder,
        settings(processes.device, config.seed, config.threads),
    ):
        report = job_reporter(job, folder, processes)
        notes = list(train.notes) + (
            [f"validation: {note}" for note in validation.notes] if validation else []
        )
        looker = Looker(config, _cache(config, folder), processes.device)
        vocabulary = Tokenizer.train(
            [text for some in part.captions for text in some],
            config.tokenizer,  # pyright: ignore[reportArgumentType]
            config.vocab_size,
        )
        encoded = _encode(part, looker, vocabulary, config, notes)
        measured = _encode(held_out, looker, vocabulary, config, []) if held_out is not None else None
        if config.features and not config.blind:
            config = replace(config, feature_size=encoded.sights[0].shape[-1])
        if folder and processes.is_first and not (folder / runs.CONFIG).exists():
            dump_config(config, folder / runs.CONFIG, task=TASK)
        for note in notes:
            report.note(note)
        network = make_network(config, vocabulary).to(processes.device)
        about = _about(config, train, validation)
        outcome = _fit(
            network,
            vocabulary,
            encoded,
            measured,
            config,
            report,
            folder,
            about,
            processes,
            resume=job.resumes,
        )
        if outcome.stopped != "finished":
            notes.append(stopped_early(outcome))
            report.note(notes[-1])
        fitted = FittedCaptioner(config, network.train(False), vocabulary, history=outcome.history)
        fitted.metrics = _described(train, validation, part, held_out, config, outcome, network) | {
            "command": job.command,
            "notes": notes,
        }
        if held_out is not None and measured is not None and processes.is_first:
            fitted.metrics["validation"] = fitted.evaluate_on(measured.sights, held_out)
        if folder and processes.is_first:
            fitted.write(folder)
    return fitted


def with_data_places(config: CaptionConfig, train: Captions) -> CaptionConfig:
    """The options with absolute paths and the columns that were read, so that they read the same data anywhere."""
    places = {name: str(Path(value).absolute()) for name in _PLACES if (value := getattr(config, name))}
    columns = dict(zip(("image", "caption"), train.columns or ("", ""), strict=True))
    return replace(config, **places, **columns, video=train.video)


_PLACES = ("pictures", "captions", "validation_pictures", "validation_captions", "cache")


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
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(config.seed)).tolist()
    wanted = min(max(1, round(config.validation * len(train))), len(train) - 1)
    return train.subset(sorted(order[wanted:])), train.subset(sorted(order[:wanted]))


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
    network: nn.Module,
    vocabulary: Tokenizer,
    train: Part,
    validation: Part | None,
    config: CaptionConfig,
    report: Reporter,
    folder: Path | None,
    about: dict[str, Any],
    processes: Processes,
    *,
    resume: bool,
) -> Outcome:
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

    return fit(
        network,
        batches,
        loss,
        LoopOptions(**{name: getattr(config, name) for name in _SHARED}, metric="loss"),
        prepare=prepare,
        evaluate=_evaluation(vocabulary, validation, processes) if validation else None,
        report=report,
        processes=processes,
        folder=folder,
        resume=resume,
        about=about,
        config=dump_config(config, None, task=TASK),
    )


_SHARED = {item.name for item in fields(LoopOptions)} & {item.name for item in fields(CaptionConfig)}


def _evaluation(
    vocabulary: Tokenizer, part: Part, processes: Processes
) -> Callable[[nn.Module], dict[str, float]]:
    """Figures over the whole part, of which each process reads its share; the same in all of them."""

    def evaluate(model: nn.Module) -> dict[str, float]:
        own = processes.shard(range(len(part)))
        sums = caption_sums(
            model, vocabulary, [part.sights[k] for k in own], [part.sentences[k] for k in own]
        )
        loss, right, tokens = processes.sum(list(sums))
        return {"loss": loss / tokens, "accuracy": right / tokens}

    return evaluate


def _about(config: CaptionConfig, train: Captions, validation: Captions | None) -> dict[str, Any]:
    """What a training may not change when it is resumed: its options and its data, wherever these lie."""
    free = FREE | {*_PLACES, "beams", "length_penalty", "coverage_penalty"}
    about = {name: value for name, value in asdict(config).items() if name not in free}
    about["the SHA-256 of the training data"] = train.sha256
    return about | ({"the SHA-256 of the validation data": validation.sha256} if validation else {})


def _described(
    train: Captions,
    validation: Captions | None,
    part: Captions,
    held_out: Captions | None,
    config: CaptionConfig,
    outcome: Outcome,
    network: nn.Module,
) -> dict[str, Any]:
    how = (
        "given"
        if validation is not None
        else f"{config.validation:g} of the pictures held out, seed {config.seed}"
    )
    found: dict[str, Any] = {
        "format": 1,
        "task": TASK,
        "data": source_of(train),
        "split": {"training": len(part), "validation": len(held_out or []), "how": how},
        "training": trained(outcome, network),
        "versions": versions(),
    }
    return found | ({"validation_data": source_of(validation)} if validation is not None else {})
