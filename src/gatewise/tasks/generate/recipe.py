"""From a text to a trained language model: read, number the tokens, train with carried state, measure, save."""

from __future__ import annotations

from dataclasses import dataclass
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
from gatewise.training.carried import Carried, TokenStreams, Window
from gatewise.training.distributed import Processes
from gatewise.training.job import Job
from gatewise.training.options import Outcome
from gatewise.training.recipe import Training, begin_training, hashes_of
from gatewise.training.recipe_config import with_full_paths
from gatewise.training.sums import Sum

PIECE, MOST_PIECES, WARM_UP = 2000, 64, 256
"""While it trains, the validation part is read in pieces of about so many tokens, at most so many side by side, each
from the state that so many tokens before it leave."""


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
    config = with_full_paths(config)
    hashes = hashes_of(corpus.training, corpus.validation)
    with begin_training(config, job, task=TASK, hashes=hashes, notes=corpus.notes) as training:
        vocabulary = train_vocabulary(
            corpus.training.content, config.tokens, config.vocab_size, config.min_count
        )
        text = _encoded(corpus.training, vocabulary, "training", 2 * config.streams)
        validation = corpus.validation and _encoded(corpus.validation, vocabulary, "validation", 2)
        training.notes += _unknown(text, validation, vocabulary)
        network = LanguageModel(config, vocabulary.size)
        outcome = _fit(training, network, text, validation)
        fitted = FittedLanguageModel(config, network, vocabulary, history=outcome.history)
        fitted.metrics = training.described(
            outcome,
            network,
            data=_described(corpus),
            split=corpus.how,
            tokens=_counted(vocabulary, text, validation),
        )
        if validation is None:
            training.notes.append(
                "no validation part: weights of the last step, and no figure that says how good they are"
            )
        else:
            found = _measured(network, validation.tokens, training.processes)
            fitted.metrics["validation"] = figures_of(
                found, validation.part.content, validation.tokens, vocabulary
            )
        training.save(fitted.write_files)
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


def _fit(
    training: Training[GenerateConfig], network: LanguageModel, text: Encoded, validation: Encoded | None
) -> Outcome:
    config, device = training.config, training.processes.device
    fixed = TokenStreams(text.tokens, config.streams, config.steps)

    def batches(epoch: int) -> TokenStreams | RandomStreams:
        if not config.random_steps:
            return fixed
        lengths = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        return RandomStreams(text.tokens, config.streams, config.steps, lengths)

    def loss(model: nn.Module, window: Window, state: Any) -> tuple[Sum, Any]:
        ids, targets = window.inputs.to(device), window.targets.to(device)
        (nll, penalty), state = model(ids, state, targets)
        return Sum(nll + penalty, targets.numel(), shown=nll.detach()), state

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, LanguageModel) and validation
        found = _measured(model, validation.tokens, training.processes)
        return {"loss": found.loss, "perplexity": found.perplexity}

    return training.fit(network, batches, Carried(loss), evaluate=evaluate if validation else None)


def _measured(model: LanguageModel, tokens: Tensor, processes: Processes) -> NLL:
    """The validation figure of a training; see `PIECE`."""
    streams = min(MOST_PIECES, max(1, len(tokens) // PIECE))
    return measure_carried(model, tokens, streams=streams, warm_up=WARM_UP, processes=processes)


def _described(corpus: Corpus) -> dict[str, Any]:
    parts = {"training": corpus.training, "validation": corpus.validation, "test": corpus.test}
    return {name: part.described() for name, part in parts.items() if part}


def _counted(vocabulary: Vocabulary, text: Encoded, validation: Encoded | None) -> dict[str, Any]:
    return {
        "kind": vocabulary.kind,
        "vocabulary": vocabulary.size,
        "training": len(text.tokens),
        "validation": len(validation.tokens) if validation else 0,
    }
