"""Nearest states over a corpus: where else was the memory as it is here?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.units.scikit_learn import sklearn
from gatewise.memory.units.sequences import States, rows_of

METRICS = ("euclidean", "cosine")
BEFORE, AFTER = 6, 2


class Neighbour(NamedTuple):
    """A state of the corpus: which sequence and step it is of, and how far it is.

    distance: Euclidean, or 1 - cosine. word: what was read at the step, "" where the index has no words. context: the
    words around it, up to 6 before and 2 after, with blanks between them. label: of its sequence, None without labels.
    """

    sequence: int
    step: int
    distance: float
    word: str
    context: str
    label: Any


class StateIndex:
    """The states of a corpus, to be asked for the nearest ones of any state.

    Exact, by scikit-learn's NearestNeighbors. It keeps a copy of all states in float32: 4·N·H bytes.

    Args:
        states: [T, B, H], such as `.h` or `.c` of a trace, or one [T, H] a sequence.
        lengths: [B] valid steps of each row of a tensor; None: all T.
        words: what was read at each step, a list a sequence; None: none are shown.
        labels: one a sequence; None: none are shown.
        metric: "euclidean", or "cosine", which leaves the size of a state out.

    Raises:
        UsageError: scikit-learn is not installed; another metric; shapes that do not fit; states that are not finite.
    """

    def __init__(
        self,
        states: States,
        lengths: Tensor | Sequence[int] | None = None,
        *,
        words: Sequence[Sequence[str]] | None = None,
        labels: Sequence[Any] | None = None,
        metric: str = "euclidean",
    ) -> None:
        if metric not in METRICS:
            raise UsageError(f"metric is {metric!r}; it can be {' or '.join(map(repr, METRICS))}")
        neighbours = sklearn("neighbors", "an index of states")
        rows = rows_of(states, lengths)
        self.metric, self.words, self.labels = metric, words, labels
        self._lengths = np.array([len(row) for row in rows])
        self._check_words()
        self._starts = self._lengths.cumsum() - self._lengths
        self._hidden = rows[0].shape[1]
        self._model = neighbours.NearestNeighbors(metric=metric, algorithm="brute")
        self._model.fit(np.concatenate(rows).astype(np.float32))

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def _check_words(self) -> None:
        for name, given in (("words", self.words), ("labels", self.labels)):
            if given is not None and len(given) != len(self._lengths):
                raise UsageError(
                    f"there are {len(self._lengths)} sequences of states and {len(given)} of {name}"
                )
        for number, words in enumerate(self.words or ()):
            if len(words) != self._lengths[number]:
                raise UsageError(
                    f"sequence {number} has {self._lengths[number]} steps of states and {len(words)} words"
                )

    def query(self, state: Tensor, count: int = 5, *, without: int | None = None) -> list[Neighbour]:
        """The nearest states, the nearest first.

        Args:
            state: [H].
            count: how many; fewer come back where the corpus has fewer.
            without: a sequence that is left out: the one that the state is of, whose neighbouring steps are near it.

        Raises:
            UsageError: another shape, a state that is not finite, a count below 1, a sequence that there is not.
        """
        if tuple(state.shape) != (self._hidden,):
            raise UsageError(
                f"the state has shape {tuple(state.shape)}; the index holds states of [{self._hidden}]"
            )
        asked = state.detach().cpu().numpy().astype(np.float32)
        if not np.isfinite(asked).all():
            raise UsageError(f"the state holds {asked[~np.isfinite(asked)][0]}")
        if count < 1:
            raise UsageError(f"count is {count}; 1 or more are needed")
        if without is not None and not 0 <= without < len(self._lengths):
            raise UsageError(f"without is {without}; the sequences are 0 to {len(self._lengths) - 1}")
        more = 0 if without is None else int(self._lengths[without])
        distances, places = self._model.kneighbors(asked[None], min(count + more, len(self)))
        found = [
            self._neighbour(int(place), float(d)) for d, place in zip(distances[0], places[0], strict=True)
        ]
        return [one for one in found if one.sequence != without][:count]

    def _neighbour(self, place: int, distance: float) -> Neighbour:
        sequence = int(self._starts.searchsorted(place, side="right")) - 1
        step = place - int(self._starts[sequence])
        words = [] if self.words is None else list(self.words[sequence])
        return Neighbour(
            sequence,
            step,
            distance,
            words[step] if words else "",
            " ".join(words[max(0, step - BEFORE) : step + AFTER + 1]),
            None if self.labels is None else self.labels[sequence],
        )
