"""What a run notes down about a trained model besides its training: figures, simpler models, and how long it keeps."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.memory import half_life, record, saturation
from gatewise.tasks.classify.baselines import BagOfWords, majority_logits
from gatewise.tasks.classify.comparison import BAGS, MAJORITY
from gatewise.tasks.classify.encode import Arrays, Encoder
from gatewise.tasks.classify.fitted import FittedClassifier, calibrated_figures, label_indices, network_logits
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.opened import by_depth
from gatewise.training.metrics import ClassCounts, fit_temperature

MOST_CHARACTERS = 15_000_000
"""Of training text: above it the bag of words is left out; 25,000 film reviews (33 million) took it a minute."""
OBSERVED = 64
"""Examples over which half-lives and saturation are taken."""


def calibrate(fitted: FittedClassifier, arrays: Arrays, targets: NDArray[np.int64]) -> dict[str, Any]:
    """Fit the temperature on a validation part, and the figures there."""
    logits = network_logits(fitted.network, fitted.encoder, arrays)
    fitted.temperature = fit_temperature(logits, targets)
    figures = calibrated_figures(logits, targets, fitted.temperature, fitted.labels)
    return {"accuracy": figures["accuracy"], "validation": figures}


def baselines(
    train: Texts | Series, validation: Texts | Series, fitted: FittedClassifier
) -> dict[str, float | None]:
    """Accuracy on the validation part of the most frequent label and, for texts, of a linear model on bags of words.

    The latter is None where there is more training text than `MOST_CHARACTERS`, for it would take minutes.
    """
    labels = fitted.labels
    targets, wanted = label_indices(train, labels), label_indices(validation, labels)
    majority = ClassCounts.of(majority_logits(targets, len(labels), len(wanted)), wanted).accuracy
    if not isinstance(train, Texts) or not isinstance(validation, Texts):
        return {MAJORITY: majority}
    if sum(map(len, train.texts)) > MOST_CHARACTERS:
        return {MAJORITY: majority, BAGS: None}
    bags = BagOfWords.train(train.texts, targets, len(labels), (validation.texts, wanted))
    return {MAJORITY: majority, BAGS: ClassCounts.of(bags.logits(validation.texts), wanted).accuracy}


class Keeping(NamedTuple):
    """How long the units of a network keep, and how hard its gates are driven, by layer and direction (`by_depth`).

    half_lives: steps until half of a unit's memory is gone, one a unit; None for a unit that never forgets, for JSON
        has no infinity.
    saturation: by gate the share of steps below 0.1 and above 0.9, the mean over the units.
    """

    half_lives: dict[str, list[float | None]]
    saturation: dict[str, dict[str, list[float]]]


@torch.no_grad()
def keeping(network: SequenceClassifier, encoder: Encoder, arrays: Arrays) -> Keeping:
    """Over the first 64 inputs. A plain RNN has no gates and is left out; so is all where no input has a step.

    The network is to be in evaluation mode.
    """
    device = next(network.parameters()).device
    inputs, lengths = (t.to(device) for t in encoder.collate(arrays[:OBSERVED]))
    with record(network.recurrent) as trace:
        network.hidden(inputs, lengths)
    gated = {name: lt for name, lt in by_depth(trace).items() if lt.gates and lt.valid().any()}
    return Keeping(
        {name: [_rounded(life) for life in half_life(lt).tolist()] for name, lt in gated.items()},
        {
            name: {
                gate: [float(f"{share.mean():.5g}") for share in sides]
                for gate, sides in saturation(lt).items()
            }
            for name, lt in gated.items()
        },
    )


def _rounded(life: float) -> float | None:
    return float(f"{life:.5g}") if math.isfinite(life) else None


def before_and_after(before: Keeping, after: Keeping, examples: int, part: str) -> dict[str, Any]:
    """What `metrics.json` says of both, and over how many examples of which part."""
    about = {"examples": min(OBSERVED, examples), "part": part}
    return {
        name: about | {"before": getattr(before, name), "after": getattr(after, name)}
        for name in Keeping._fields
    }
