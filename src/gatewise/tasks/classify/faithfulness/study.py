"""A study of faithfulness: texts drawn from data, and what answers lose under every ranking of their words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.texts import Texts
from gatewise.data.wording import count
from gatewise.errors import DataError, UsageError
from gatewise.tasks.classify.baselines import BagOfWords
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.faithfulness.curves import SHARES, Answers, drops, mean_drops
from gatewise.tasks.classify.faithfulness.log import FaithfulnessLog, Measured
from gatewise.tasks.classify.faithfulness.rankings import LINEAR, RANDOM, RANKINGS, Judged, rank, refusals
from gatewise.tasks.classify.faithfulness.table import Faithfulness
from gatewise.tasks.classify.faithfulness.words import WordText, read_words
from gatewise.tasks.classify.fitted import FittedClassifier, label_indices

TEXTS, DRAWS = 500, 10
ROWS, STEPS = 32, 12_000
"""Most texts, and most steps with padding, that are opened at a time."""

Told = Callable[[int, int], object]


def faithfulness(
    fitted: FittedClassifier,
    data: Texts,
    *,
    texts: int = TEXTS,
    seed: int = 0,
    rankings: Sequence[str] = RANKINGS,
    draws: int = DRAWS,
    train: Texts | None = None,
    log: str | Path | None = None,
    told: Told | None = None,
) -> Faithfulness:
    """Measure comprehensiveness and sufficiency (DeYoung et al. 2020) of every ranking of words.

    Of each text the model answers, and the label that it predicts is explained. The top 1, 5, 10, 20 and 50 % of the
    words are taken out of the text, or left alone, and the unchanged model reads what is left.

    Args:
        data: texts; labels are not read. Those without a word are passed over.
        texts: how many of them, drawn by `seed`; all where there are fewer.
        rankings: of `RANKINGS`; "random words" is always among them, for all are compared with it.
        draws: random rankings a text, whose mean counts.
        train: labelled texts for the linear model on bags of words (C = 20); without them it is left out.
        log: a file of JSON lines, which may exist; a text that it holds is not measured again.
        told: called with how many texts are finished, and of how many.

    Raises:
        UsageError: a model of numeric sequences; a ranking that does not exist; fewer texts or draws than 1; a log of
            another setup.
        DataError: no text holds a word; a label in `train` that the model does not know.
    """
    encoder = text_encoder(fitted)
    names = _names(rankings)
    for what, number in (("texts", texts), ("draws", draws)):
        if number < 1:
            raise UsageError(f"{what} is {number}; it must be 1 at least")
    setup = _setup(fitted, data, seed, draws, train)
    logged = FaithfulnessLog(log, setup)
    refused = refusals(fitted, encoder, names)
    if LINEAR in names and train is None:
        refused[LINEAR] = "no labelled texts were given that it could be fitted on"
    names = [name for name in names if name not in refused]
    sample, notes = _sample(encoder, data, texts, seed)
    if data.sha256 == trained_on(fitted):
        notes.append("the run was trained on these texts")
    missing = {
        place: [name for name in names if place not in logged.texts or name not in logged.texts[place].drops]
        for place in sample
    }
    bags = None
    if train is not None and any(LINEAR in lacking for lacking in missing.values()):
        bags = BagOfWords.train(train.texts, label_indices(train, fitted.labels), len(fitted.labels))
    left = {place: sample[place] for place, lacking in missing.items() if lacking}
    done = len(sample) - len(left)
    for places in _batches(left):
        answers = Answers.of(fitted, [sample[place] for place in places])
        lacking = [name for name in names if any(name in missing[place] for place in places)]
        for measured in _measured(Judged(answers, places, bags, seed, draws), lacking):
            logged.add(measured)
        done += len(places)
        if told:
            told(done, len(sample))
    return Faithfulness(setup, [logged.texts[place] for place in sample], names, refused, notes)


def text_encoder(fitted: FittedClassifier) -> TextEncoder:
    """The model's encoder; a UsageError where it reads numeric sequences."""
    if not isinstance(fitted.encoder, TextEncoder):
        raise UsageError("this model reads numeric sequences, and faithfulness takes words out of texts")
    return fitted.encoder


def trained_on(fitted: FittedClassifier) -> str | None:
    """The SHA-256 of the data that a run says that it was trained on."""
    data = fitted.metrics.get("data")
    return data.get("sha256") if isinstance(data, dict) else None


def _names(given: Sequence[str]) -> list[str]:
    for name in given:
        if name not in RANKINGS:
            raise UsageError(f"there is no ranking {name!r}; it must be one of {', '.join(RANKINGS)}")
    return [name for name in RANKINGS if name in given or name == RANDOM]


def _sample(encoder: TextEncoder, data: Texts, most: int, seed: int) -> tuple[dict[int, WordText], list[str]]:
    """Texts with a word by their place in the data, as many as there are up to `most`; and what is to be said of it."""
    found: dict[int, WordText] = {}
    empty = 0
    for place in np.random.default_rng(seed).permutation(len(data.texts)).tolist():
        if len(found) == most:
            break
        words = read_words(encoder, data.texts[place])
        if len(words):
            found[place] = words
        else:
            empty += 1
    if not found:
        raise DataError(f"{data.source}: none of {count(len(data), 'text')} holds a word")
    notes = [f"{len(found):,} of {count(len(data), 'text')}, drawn by seed {seed}"]
    if empty:
        notes.append(f"{count(empty, 'text')} without a word passed over")
    cut = sum(len(words.text) < len(data.texts[place]) for place, words in found.items())
    if cut:
        notes.append(
            f"{count(cut, 'text')} longer than the model reads ({encoder.max_length:,} tokens): the words that it does "
            "not read were taken out first"
        )
    return found, notes


def _batches(texts: dict[int, WordText]) -> Iterator[list[int]]:
    """Places of texts of similar lengths, the shortest first."""
    batch: list[int] = []
    for place in sorted(texts, key=lambda place: (len(texts[place].ids), place)):
        if batch and (len(batch) == ROWS or (len(batch) + 1) * len(texts[place].ids) > STEPS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _measured(judged: Judged, names: Sequence[str]) -> Iterator[Measured]:
    answers = judged.answers
    by_name = {name: rank(name, judged) for name in names}
    rows = range(len(answers.texts))
    found = drops(answers, [[scores for name in names for scores in by_name[name][row]] for row in rows])
    for row in rows:
        several = iter(found[row])
        by_ranking = {name: mean_drops([next(several) for _ in by_name[name][row]]) for name in names}
        yield Measured(
            judged.places[row],
            len(answers.texts[row]),
            str(answers.fitted.labels[answers.chosen[row]]),
            answers.probability(row),
            by_ranking,
        )


def _setup(
    fitted: FittedClassifier, data: Texts, seed: int, draws: int, train: Texts | None
) -> dict[str, Any]:
    """What the figures of a text hang on, by name."""
    return {
        "model": _fingerprint(fitted),
        "data": data.sha256,
        "text column": data.text_column,
        "seed": seed,
        "draws": draws,
        "shares": list(SHARES),
        "training data": train.sha256 if train else None,
    }


def _fingerprint(fitted: FittedClassifier) -> str:
    """Of all that a model's answer depends on."""
    encoder = text_encoder(fitted)
    parts = [
        encoder.tokenizer.kind, encoder.tokenizer.vocabulary, encoder.max_length, encoder.where, fitted.temperature,
        [str(label) for label in fitted.labels],
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(parts).encode())
    for name, tensor in sorted(fitted.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return digest.hexdigest()
