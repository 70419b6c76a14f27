"""A score a word, by every method of attribution and by what it must beat; the highest words count most for the answer.

The methods share out the score of the predicted label, its logit minus the mean of the others, over the tokens; a
word's score is the sum over its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.attribution import METHODS, attribute
from gatewise.tasks.classify.baselines import BagOfWords
from gatewise.tasks.classify.deletion import contrast, variants
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.faithfulness.curves import Answers, Floats
from gatewise.tasks.classify.faithfulness.words import read_words
from gatewise.tasks.classify.fitted import FittedClassifier

LEAVE_ONE_OUT, LINEAR, RANDOM = "leave one out", "linear model", "random words"
FIRST, LAST = "first words", "last words"
RANKINGS = (*METHODS, LEAVE_ONE_OUT, LINEAR, LAST, FIRST, RANDOM)


@dataclass(frozen=True, eq=False)
class Judged:
    """What rankings are made for: answers, and what some rankings need besides.

    Args:
        places: of each text its place in the data; with the seed it decides the draws.
        bags: the linear model; None where there is none.
        draws: how many random rankings a text has.
    """

    answers: Answers
    places: Sequence[int]
    bags: BagOfWords | None
    seed: int
    draws: int


def rank(name: str, judged: Judged) -> list[list[Floats]]:
    """Of each text the scores [N] of its words; several where a ranking is drawn."""
    if name == RANDOM:
        return [
            list(np.random.default_rng((judged.seed, place)).random((judged.draws, len(text))))
            for place, text in zip(judged.places, judged.answers.texts, strict=True)
        ]
    found = _OTHERS[name](judged) if name in _OTHERS else _attributed(judged.answers, name)
    return [[scores] for scores in found]


def refusals(fitted: FittedClassifier, encoder: TextEncoder, names: Sequence[str]) -> dict[str, str]:
    """Of the methods among `names` those that the model does not allow, each with the reason."""
    refused = {}
    probe = Answers.of(fitted, [read_words(encoder, "a b")])
    for name in names:
        if name in METHODS:
            try:
                _attributed(probe, name)
            except UsageError as reason:
                refused[name] = str(reason)
    return refused


def _attributed(answers: Answers, method: str) -> list[Floats]:
    network = answers.fitted.network
    device = next(network.parameters()).device
    x, lengths = answers.fitted.encoder.collate([text.ids for text in answers.texts])
    chosen = torch.from_numpy(answers.chosen).to(device)

    def score(logits: Tensor) -> Tensor:  # [B]
        of_chosen = logits.gather(1, chosen[:, None])[:, 0]
        return of_chosen - (logits.sum(1) - of_chosen) / (logits.shape[1] - 1)

    found = attribute(network, (x.to(device), lengths.to(device)), score, method)
    scores = found.scores.T.cpu().numpy()  # [B, T]
    return [text.of_words(row[: len(text.ids)]) for text, row in zip(answers.texts, scores, strict=True)]


def _left_out(judged: Judged) -> list[Floats]:
    """How far the score falls without each word; a run a word."""
    answers, found = judged.answers, []
    for row, text in enumerate(answers.texts):
        without = text.tokens_of(np.eye(len(text), dtype=bool))
        chosen = int(answers.chosen[row])
        scores = contrast(variants(answers.fitted, text.ids, without).T, chosen)
        found.append(contrast(answers.logits[row], chosen) - scores)
    return found


def _linear(judged: Judged) -> list[Floats]:
    """What each word adds to the label's score in a linear model on bags of words, which knows no network."""
    assert judged.bags is not None
    return [
        contrast(judged.bags.word_scores(text.text, text.spans).T, int(chosen))
        for text, chosen in zip(judged.answers.texts, judged.answers.chosen, strict=True)
    ]


_OTHERS: dict[str, Callable[[Judged], list[Floats]]] = {
    LEAVE_ONE_OUT: _left_out,
    LINEAR: _linear,
    LAST: lambda judged: [np.arange(len(text), dtype=np.float64) for text in judged.answers.texts],
    FIRST: lambda judged: [-np.arange(len(text), dtype=np.float64) for text in judged.answers.texts],
}
