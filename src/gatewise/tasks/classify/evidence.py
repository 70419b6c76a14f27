"""Does an explanation hold up? What an answer keeps of its probability with some steps alone, and without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.reports.captions import BEATEN
from gatewise.reports.page import Check
from gatewise.reports.view import SUFFICES
from gatewise.tasks.classify.deletion import calibrated, contrast, variants
from gatewise.tasks.classify.fitted import FittedClassifier

DRAWS = 50
MOST_OCCLUDED = 1000
"""A longer sequence is not occluded step by step, which takes as many runs as it has steps."""
_SCANNED = 32


@dataclass(frozen=True)
class Evidence:
    """What was found by leaving steps out of an input of T steps.

    Args:
        kept: the steps of the smallest set, rising; empty where no set keeps the answer.
        check: that set against the rest and against chance.
        bare: the label's probability with every step left out.
        occlusion: [T], how far the score falls when a step is left out; empty for more than 1,000 steps.
        by: what the steps were ranked by, "push" or "occlusion".
    """

    kept: list[int]
    check: Check
    bare: float
    occlusion: list[float]
    by: str


def evidence(
    fitted: FittedClassifier,
    array: np.ndarray,
    push: Sequence[float] | None,
    chosen: int,
    probability: float,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Evidence | None:
    """Find the smallest set of steps that alone keeps an answer, and test it.

    The k steps of highest push, and positive push alone, are the candidates for k = 1, 2, …; the first k with which
    the label keeps 90 % of its probability is taken. It is spread out when there is none, or when it is larger than
    half of the input. Leaving it out is compared with leaving out as many random steps (DeYoung et al. 2020,
    "ERASER": sufficiency and comprehensiveness).

    Args:
        array: the input as the network reads it: ids [T], or scaled values [T, F].
        push: [T] towards the label; None: ranked by occlusion instead.
        chosen: the place of the label among the logits.
        probability: of the label for the whole input, calibrated.
        draws: random sets. seed: of their drawing.

    Returns:
        None where there is nothing to leave out, or no ranking: no step, or no push and more than 1,000 steps.
    """
    steps = len(array)
    occlusion = _occlusion(fitted, array, chosen)
    ranking = occlusion if push is None else np.asarray(push, np.float64)
    if steps == 0 or len(ranking) == 0:
        return None
    kept, only = _smallest_set(fitted, array, ranking, chosen, SUFFICES * probability)
    left_out = np.zeros((2, steps), bool)
    left_out[0], left_out[1, kept] = True, True
    left_out = np.concatenate([left_out, _other_sets(left_out[1], draws, seed)])
    bare, without, *others = calibrated(fitted, variants(fitted, array, left_out), chosen).tolist()
    beaten = np.mean([other > without for other in others]) if others else 0.0
    check = Check(
        kept=len(kept),
        spread_out=len(kept) == 0 or len(kept) > steps / 2,
        without=without,
        only=bare if only is None else only,
        random=others,
        holds=bool(without < probability and beaten >= BEATEN),
    )
    return Evidence(kept, check, bare, occlusion.tolist(), "occlusion" if push is None else "push")


def _occlusion(fitted: FittedClassifier, array: np.ndarray, chosen: int) -> NDArray[np.float64]:
    """The score minus the score without each step [T]; [0] for more steps than are occluded."""
    steps = len(array)
    if steps > MOST_OCCLUDED:
        return np.zeros(0)
    whole = np.zeros((1, steps), bool)
    scores = contrast(variants(fitted, array, np.concatenate([whole, np.eye(steps, dtype=bool)])).T, chosen)
    return scores[0] - scores[1:]


def _other_sets(one: NDArray[np.bool_], draws: int, seed: int) -> NDArray[np.bool_]:
    """Random sets of the same size, none of them `one` itself [T]: [draws, T]; [0, T] where there is no other."""
    size, steps = int(one.sum()), len(one)
    if size in (0, steps):
        return np.zeros((0, steps), bool)
    random, found = np.random.default_rng(seed), []
    while len(found) < draws:
        row = np.zeros(steps, bool)
        row[random.choice(steps, size, replace=False)] = True
        if (row != one).any():
            found.append(row)
    return np.array(found).reshape(draws, steps)


def _smallest_set(
    fitted: FittedClassifier, array: np.ndarray, ranking: NDArray[np.float64], chosen: int, least: float
) -> tuple[list[int], float | None]:
    """The first k steps of a ranking that alone reach a probability, and what they reach; none: [], None."""
    order = np.argsort(-ranking, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))  # [T], 0 for the highest
    eligible = int((ranking > 0).sum())
    for start in range(0, eligible, _SCANNED):
        sizes = np.arange(start, min(start + _SCANNED, eligible)) + 1
        reached = calibrated(fitted, variants(fitted, array, place >= sizes[:, None]), chosen)
        enough = np.flatnonzero(reached >= least)
        if len(enough):
            size = int(sizes[enough[0]])
            return sorted(order[:size].tolist()), float(reached[enough[0]])
    return [], None
