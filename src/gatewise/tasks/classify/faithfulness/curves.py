"""What an answer loses without the words that a ranking puts first, and with these words alone.

Source: DeYoung et al. 2020, "ERASER: a benchmark to evaluate rationalized NLP models", section 4 (comprehensiveness and
sufficiency) and its shares of 1, 5, 10, 20 and 50 %. The words are taken out of the text; nothing stands in for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.tasks.classify.deletion import calibrated, contrast
from gatewise.tasks.classify.faithfulness.words import Bools, WordText
from gatewise.tasks.classify.fitted import FittedClassifier

Floats = NDArray[np.float64]
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Drops:
    """What one answer loses, a number a share of the words, [S] each.

    Args:
        removed: the probability of the predicted label for the text, less that without the words: comprehensiveness.
        alone: less that of the words alone: sufficiency, where lower is better.
        removed_score, alone_score: the same of the label's logit minus the mean of the others, before the temperature.
    """

    removed: list[float]
    alone: list[float]
    removed_score: list[float]
    alone_score: list[float]


def highest(scores: Floats, shares: Sequence[float] = SHARES) -> Bools:
    """Masks [S, N] of the highest ⌈share·N⌉ of N scores, one at least; earlier words first where they are equal."""
    place = np.empty(len(scores), np.int64)
    place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))  # 0 for the highest
    counts = [max(1, math.ceil(share * len(scores) - 1e-9)) for share in shares]
    return place < np.array(counts)[:, None]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says to B texts of words.

    Args:
        logits: [B, K], of the whole texts.
        chosen: [B], the place of the predicted label.
    """

    fitted: FittedClassifier
    texts: Sequence[WordText]
    logits: Floats
    chosen: NDArray[np.int64]

    @classmethod
    def of(cls, fitted: FittedClassifier, texts: Sequence[WordText]) -> Answers:
        """Let the model read the whole texts."""
        logits = fitted.logits([text.text for text in texts])
        return cls(fitted, texts, logits, logits.argmax(1))

    def probability(self, row: int) -> float:
        """Of the predicted label of a text, calibrated."""
        return float(calibrated(self.fitted, self.logits[row : row + 1], int(self.chosen[row]))[0])


def drops(answers: Answers, rankings: Sequence[Sequence[Floats]]) -> list[list[Drops]]:
    """What every answer loses under each of its rankings.

    Args:
        rankings: of each text its rankings, each a score [N] a word.

    Returns:
        Of each text one `Drops` a ranking. All the shortened texts are read in batches of similar lengths.
    """
    masks = [
        np.concatenate([half for ranking in of_text for top in [highest(ranking)] for half in (~top, top)])
        for of_text in rankings
    ]
    texts = [
        text.keeping(row) for text, rows in zip(answers.texts, masks, strict=True) for row in rows
    ]  # of each ranking first those without its words, then those with them alone
    logits = answers.fitted.logits(texts)
    found, start = [], 0
    for row, of_text in enumerate(rankings):
        size = 2 * len(SHARES) * len(of_text)
        found.append(_drops(answers, row, logits[start : start + size]))
        start += size
    return found


def _drops(answers: Answers, row: int, logits: Floats) -> list[Drops]:
    """Of one text; logits [R · 2 · S, K]."""
    chosen = int(answers.chosen[row])
    whole = float(contrast(answers.logits[row], chosen))
    shape = (-1, 2, len(SHARES))
    probability = answers.probability(row) - calibrated(answers.fitted, logits, chosen).reshape(shape)
    score = whole - contrast(logits.T, chosen).reshape(shape)
    return [
        Drops(p[0].tolist(), p[1].tolist(), s[0].tolist(), s[1].tolist())
        for p, s in zip(probability, score, strict=True)
    ]


def mean_drops(several: Sequence[Drops]) -> Drops:
    """The mean over draws of one text."""
    means = (
        np.mean([getattr(one, name) for one in several], axis=0).tolist()
        for name in ("removed", "alone", "removed_score", "alone_score")
    )
    return Drops(*means)
