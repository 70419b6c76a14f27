"""Units of a trained classifier that track the label, and the words that move them: "find your sentiment neuron"."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import UNK_ID
from gatewise.errors import DataError, UsageError
from gatewise.memory import LayerTrace, Probe, Tracking, probe, time_constants, track
from gatewise.memory.states import before
from gatewise.tasks.classify.encode import Arrays, TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.states import State, chosen_state, content, top_layers

LEAST = 5
"""Times that a word must have been read to be shown."""


class Moved(NamedTuple):
    """A word, the mean change of the unit at it, and how often it was read."""

    word: str
    change: float
    times: int


@dataclass(frozen=True)
class TrackingUnit:
    """One unit of the top layer.

    Attributes:
        unit: its number in its direction. direction: "forward" or "reverse".
        correlation, p: as in `gw.memory.Tracking`, of its state after the last step that its direction reads.
        label: the one in whose inputs that state is largest in the mean.
        half_life: steps until half of what it holds is gone, inf for never; None for a plain RNN.
        raised_by, lowered_by: the words at which its state rises and falls most in the mean; empty for numbers.
    """

    unit: int
    direction: str
    correlation: float
    p: float
    label: str
    half_life: float | None
    raised_by: list[Moved]
    lowered_by: list[Moved]


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a classifier's top layer that go with the label most strongly.

    Attributes:
        state: "c" or "h".
        units: the strongest first.
        tracking: of all units, forward before reverse.
        probe: a linear model from all their states to the label, beside one unit alone; None without scikit-learn.
        notes: what was left out.
    """

    state: State
    units: list[TrackingUnit]
    tracking: Tracking = field(repr=False)
    probe: Probe | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """What can be written as JSON; an infinite half-life as None."""
        return {
            "state": self.state,
            "measure": self.tracking.measure,
            "labels": self.tracking.classes,
            "examples": self.tracking.sequences,
            "permutations": self.tracking.permutations,
            "all_units": len(self.tracking.p),
            "units": [_plain(unit) for unit in self.units],
            "probe": None if self.probe is None else _scores(self.probe),
            "notes": self.notes,
        }


def _plain(unit: TrackingUnit) -> dict[str, Any]:
    """With words as objects, and None for a half-life without end."""
    values = asdict(unit)
    if unit.half_life is not None and math.isinf(unit.half_life):
        values["half_life"] = None
    for name in ("raised_by", "lowered_by"):
        values[name] = [moved._asdict() for moved in getattr(unit, name)]
    return values


def _scores(found: Probe) -> dict[str, Any]:
    names = ("score", "one_unit", "unit", "majority", "shuffled", "training", "held_out")
    return {"measure": found.measure} | {name: getattr(found, name) for name in names}


def find_units(
    fitted: FittedClassifier,
    data: Texts | Series,
    *,
    count: int = 5,
    words: int = 6,
    state: str | None = None,
    permutations: int = 1000,
    seed: int = 0,
) -> Units:
    """Which units of the top layer go with the label, how sure that is, and which words move them.

    Every input stands for one value a unit: its state after the last step that its direction reads. Use data that the
    run was not trained on; on its training data units go with the labels that they were taught. The network is run
    twice over the data.

    Args:
        data: labelled.
        count: units to be shown, 1 or more.
        words: words to be shown a unit and way; only those that were read 5 times or more, unknown ones never.
        state: "c" or "h"; None: c of an LSTM, h of the others.
        permutations, seed: as in `gw.memory.track`; the seed is also that of the probe's split.

    Raises:
        DataError: no labels, or inputs without steps alone.
        UsageError: a state that the cell does not have; a count out of range; too few inputs, or one label everywhere.
    """
    if data.labels is None:
        raise DataError(f"{data.source}: there are no labels that units could track")
    if count < 1 or words < 0:
        raise UsageError(f"count is {count} and words {words}; 1 and 0 or more are needed")
    given = fitted.encoder.cut(fitted.encoder.full(fitted.encoder.inputs(data)))
    places = [k for k, array in enumerate(given) if len(array)]
    if not places:
        raise DataError(f"{data.source}: none of the {len(given):,} inputs has a step")
    arrays, labels = [given[k] for k in places], [data.labels[k] for k in places]
    final, half_lives, chosen = _final_states(fitted, arrays, state)
    tracking = track(final[None], labels, classes=True, permutations=permutations, seed=seed)
    best = tracking.best(count)
    moved = _moved_by(fitted, arrays, [unit for unit, _, _ in best], chosen, words)
    hidden = fitted.config.hidden_size
    empty = len(given) - len(places)
    return Units(
        chosen,
        [
            TrackingUnit(
                unit % hidden,
                "reverse" if unit >= hidden else "forward",
                correlation,
                p,
                _highest(final[:, unit], labels),
                None if half_lives is None else float(half_lives[unit]),
                *by_words,
            )
            for (unit, correlation, p), by_words in zip(best, moved, strict=True)
        ],
        tracking,
        _probed(final, labels, seed),
        [f"{empty:,} of {len(given):,} inputs have no step and were left out"] if empty else [],
    )


def _final_states(
    fitted: FittedClassifier, arrays: Arrays, state: str | None
) -> tuple[Tensor, Tensor | None, State]:
    """The state after the last step, [N, D·H], and the half-lives [D·H], with the state that was looked at."""
    rows: list[Tensor] = [torch.empty(0)] * len(arrays)
    decay, steps, chosen = torch.zeros(0), 0, None
    for batch, traces in top_layers(fitted, arrays):
        chosen = chosen_state(traces[0], state)
        ends = [lt.final()[chosen == "c"] for lt in traces]
        joined = torch.cat([end for end in ends if end is not None], 1).double().cpu()  # [B, D·H]
        for place, row in zip(batch, joined, strict=True):
            rows[place] = row
        if traces[0].gates:
            read = sum(len(arrays[k]) for k in batch)
            rates = torch.cat([1 / time_constants(lt).double().cpu() for lt in traces])  # [D·H], of a step
            decay, steps = read * rates + (decay if steps else 0), steps + read
    assert chosen is not None
    return torch.stack(rows), math.log(2) * steps / decay if steps else None, chosen


def _highest(values: Tensor, labels: list[str]) -> str:
    """The label in whose inputs a unit is largest in the mean."""
    groups = {name: [k for k, label in enumerate(labels) if label == name] for name in sorted(set(labels))}
    return max(groups, key=lambda name: float(values[groups[name]].mean()))


def _probed(final: Tensor, labels: list[str], seed: int) -> Probe | None:
    return probe(final[None], labels, classes=True, seed=seed) if find_spec("sklearn") else None


def _moved_by(
    fitted: FittedClassifier, arrays: Arrays, units: list[int], state: State, words: int
) -> list[tuple[list[Moved], list[Moved]]]:
    """For each unit the words at which its state rises and falls most in the mean."""
    if not isinstance(fitted.encoder, TextEncoder) or not words:
        return [([], []) for _ in units]
    vocabulary = fitted.encoder.tokenizer.vocabulary
    counts, sums = np.zeros(len(vocabulary)), np.zeros((len(units), len(vocabulary)))
    for batch, traces in top_layers(fitted, arrays):
        changes = torch.cat([_changes(lt, state) for lt in traces], 2)[..., units].double().cpu().numpy()
        ids = np.concatenate([arrays[k] for k in batch])
        counts += np.bincount(ids, minlength=len(vocabulary))
        for row in range(len(units)):
            of_unit = np.concatenate([changes[: len(arrays[k]), b, row] for b, k in enumerate(batch)])
            sums[row] += np.bincount(ids, of_unit, minlength=len(vocabulary))
    shown = counts >= LEAST
    shown[: UNK_ID + 1] = False
    known = np.flatnonzero(shown)
    return [
        _extremes(known, sums[row, known] / counts[known], counts, vocabulary, words)
        for row in range(len(units))
    ]


def _changes(lt: LayerTrace, state: State) -> Tensor:
    """How much each step changed the state, in the order in which the layer reads, [T, B, H]."""
    states, initial = content(lt, state)
    return states - before(states, initial, lt.full_lengths(), lt.borders, reverse=lt.reverse)


def _extremes(
    known: np.ndarray, means: np.ndarray, counts: np.ndarray, vocabulary: list[str], words: int
) -> tuple[list[Moved], list[Moved]]:
    order = np.argsort(-means, kind="stable").tolist()

    def listed(places: list[int]) -> list[Moved]:
        return [Moved(vocabulary[known[k]], float(means[k]), int(counts[known[k]])) for k in places]

    return (
        listed([k for k in order[:words] if means[k] > 0]),
        listed([k for k in order[::-1][:words] if means[k] < 0]),
    )
