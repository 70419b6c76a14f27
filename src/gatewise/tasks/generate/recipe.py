"""From a text to a trained language model: read, number the tokens, train with carried state, measure, save."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import DataError
from gatewise.tasks.generate.config import TASK, GenerateConfig
from gatewise.tasks.generate.corpus import Corpus, Part, read_corpus
from gatewise.tasks.generate.fitted import FittedLanguageModel, figures_of
from gatewise.tasks.generate.measure import NLL, measure_carried
from gatewise.tasks.generate.model import LanguageModel
from gatewise.tasks.generate.vocabulary import Vocabulary, check_variety, train_vocabulary
from gatewise.tasks.generate.windows import RandomStreams
from gatewise.training import run as runs
from gatewise.training.carried import Carried, TokenStreams, Window
from gatewise.training.config import dump_config
from gatewise.training.device import pick_device
from gatewise.training.distributed import Processes
from gatewise.training.job import Job, job_reporter, run_folder, settings, stopped_early
from gatewise.training.loop import fit
from gatewise.training.options import FREE, LoopOptions, Outcome
from gatewise.training.progress import Reporter
from gatewise.training.sums import Sum

PIECE, MOST_PIECES, WARM_UP = 2000, 64, 256
"""While it trains, the validation part is read in pieces of about so many tokens, at most so many side by side, each
from the state that so many tokens before it leave."""
_DATA = ("data", "validation_data", "test_data")
_SHARED = {item.name for item in fields(LoopOptions)} & {item.name for item in fields(GenerateConfig)}


@dataclass(frozen=True)
class Encoded:
    """A part and its tokens [N]."""

    part: Part
    tokens: Tensor


def train(
    config: GenerateConfig, corpus: Corpus | None = None, *, job: Job | None = None, **options: Any
) -> FittedLanguageModel:
    """Train a language model.

    Args:
        corpus: what to train on; None: what `config.data` names is read.
        options: fields of `Job` (out, overwrite, resume, …), or a whole `job`.

    Raises:
        DataError: a text that cannot be read, or is too short or too uniform to learn from.
        RunError: `out` is taken. UsageError: options that do not fit the data or the machine.
        GatewiseError: the loss is not finite.
    """
    job = job or Job(**options)
    corpus = corpus or read(config)
    config = replace(config, **{name: _absolute(getattr(config, name)) for name in _DATA})
    with (
        Processes.current(pick_device(config.device)) as processes,
        run_folder(job, processes, keep_checkpoints=config.keep_checkpoints > 0) as folder,
        settings(processes.device, config.seed, config.threads),
    ):
        if folder and processes.is_first and not (folder / runs.CONFIG).exists():
            dump_config(config, folder / runs.CONFIG, task=TASK)
        report = job_reporter(job, folder, processes)
        vocabulary = train_vocabulary(
            corpus.training.content, config.tokens, config.vocab_size, config.min_count
        )
        training = _encoded(corpus.training, vocabulary, "training", 2 * config.streams)
        validation = corpus.validation and _encoded(corpus.validation, vocabulary, "validation", 2)
        notes = [*corpus.notes, *_unknown(training, validation, vocabulary)]
        for note in notes:
            report.note(note)
        network = LanguageModel(config, vocabulary.size)
        outcome = _fit(
            network,
            training,
            validation,
            config,
            report,
            folder,
            _about(config, corpus),
            processes,
            resume=job.resumes,
        )
        if outcome.stopped != "finished":
            notes.append(stopped_early(outcome))
            report.note(notes[-1])
        fitted = FittedLanguageModel(config, network, vocabulary, history=outcome.history)
        fitted.metrics = _provenance(corpus, training, validation, outcome, fitted) | {"command": job.command}
        if validation is None:
            notes.append(
                "no validation part: weights of the last step, and no figure that says how good they are"
            )
        else:
            found = _measured(network, validation.tokens, processes)
            fitted.metrics["validation"] = figures_of(
                found, validation.part.content, validation.tokens, vocabulary
            )
        fitted.metrics["notes"] = notes
        if folder and processes.is_first:
            fitted.write_files(folder)
    return fitted


def read(config: GenerateConfig) -> Corpus:
    """The corpus that the options name."""
    return read_corpus(
        config.data,
        validation_data=config.validation_data,
        test_data=config.test_data,
        validation=config.validation,
        test=config.test,
        raw=config.tokens == "bytes",
        column=config.text,
    )


def _absolute(value: Any) -> Any:
    """Paths in full, so that the config reproduces the run from anywhere."""
    if isinstance(value, tuple):
        return tuple(_absolute(one) for one in value)
    return str(Path(value).absolute()) if value else ""


def _encoded(part: Part, vocabulary: Vocabulary, name: str, least: int) -> Encoded:
    tokens = vocabulary.encode(part.content)
    if len(tokens) < least:
        raise DataError(
            f"{part.source}: the {name} part has {len(tokens):,} tokens ({vocabulary.kind}); {least:,} at least are "
            "needed" + (f", 2 for each of the {least // 2:,} streams" if name == "training" else "")
        )
    if name == "training":
        check_variety(tokens, vocabulary, part.source)
    return Encoded(part, tokens)


def _unknown(training: Encoded, validation: Encoded | None, vocabulary: Vocabulary) -> list[str]:
    """A sentence for each part that holds unknown tokens."""
    parts = [("training", training)] + ([("validation", validation)] if validation else [])
    counts = [(name, vocabulary.count_unknown(part.tokens), len(part.tokens)) for name, part in parts]
    return [
        f"{n:,} of the {of:,} {vocabulary.kind} of the {name} part are unknown" for name, n, of in counts if n
    ]


def _about(config: GenerateConfig, corpus: Corpus) -> dict[str, Any]:
    """What a training may not change when it is resumed: its options and its data, wherever these lie."""
    about = {name: value for name, value in asdict(config).items() if name not in FREE and name not in _DATA}
    about["the SHA-256 of the training data"] = corpus.training.sha256
    if corpus.validation:
        about["the SHA-256 of the validation data"] = corpus.validation.sha256
    return about


def _fit(
    network: LanguageModel,
    training: Encoded,
    validation: Encoded | None,
    config: GenerateConfig,
    report: Reporter,
    folder: Path | None,
    about: dict[str, Any],
    processes: Processes,
    *,
    resume: bool,
) -> Outcome:
    device = processes.device
    network.to(device)
    fixed = TokenStreams(training.tokens, config.streams, config.steps)

    def batches(epoch: int) -> TokenStreams | RandomStreams:
        if not config.random_steps:
            return fixed
        lengths = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        return RandomStreams(training.tokens, config.streams, config.steps, lengths)

    def loss(model: nn.Module, window: Window, state: Any) -> tuple[Sum, Any]:
        ids, targets = window.inputs.to(device), window.targets.to(device)
        (nll, penalty), state = model(ids, state, targets)
        return Sum(nll + penalty, targets.numel(), shown=nll.detach()), state

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, LanguageModel) and validation
        found = _measured(model, validation.tokens, processes)
        return {"loss": found.loss, "perplexity": found.perplexity}

    shared = {name: getattr(config, name) for name in _SHARED}
    return fit(
        network,
        batches,
        Carried(loss),
        LoopOptions(**shared, metric="loss"),
        evaluate=evaluate if validation else None,
        report=report,
        processes=processes,
        folder=folder,
        resume=resume,
        about=about,
        config=dump_config(config, None, task=TASK),
    )


def _measured(model: LanguageModel, tokens: Tensor, processes: Processes) -> NLL:
    """The validation figure of a training; see `PIECE`."""
    streams = min(MOST_PIECES, max(1, len(tokens) // PIECE))
    return measure_carried(model, tokens, streams=streams, warm_up=WARM_UP, processes=processes)


def _provenance(
    corpus: Corpus,
    training: Encoded,
    validation: Encoded | None,
    outcome: Outcome,
    fitted: FittedLanguageModel,
) -> dict[str, Any]:
    """What `metrics.json` says besides the figures: data with hashes, tokens, training, versions."""
    parts = {"training": corpus.training, "validation": corpus.validation, "test": corpus.test}
    return {
        "format": 1,
        "task": TASK,
        "data": {name: part.described() for name, part in parts.items() if part},
        "split": corpus.how,
        "tokens": {
            "kind": fitted.vocabulary.kind,
            "vocabulary": fitted.vocabulary.size,
            "training": len(training.tokens),
            "validation": len(validation.tokens) if validation else 0,
        },
        "training": {
            "steps": outcome.steps,
            "epochs": outcome.epochs,
            "best_epoch": outcome.best_epoch,
            "stopped": outcome.stopped,
            "interrupted": outcome.stopped == "interrupted",
            "seconds": round(outcome.seconds, 3),
            "parameters": sum(p.numel() for p in fitted.network.parameters()),
            "device": str(fitted.network.embedding.device),
            "threads": torch.get_num_threads(),
        },
        "versions": {
            "gatewise": version("gatewise"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
