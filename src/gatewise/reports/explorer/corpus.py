"""States of many texts, among which the page looks for the nearest ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace
from gatewise.reports.explorer.names import by_name
from gatewise.reports.page import Floats
from gatewise.reports.which import one_call

MOST_BYTES = 32_000_000
"""One for each unit of h at each step in each layer."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """N steps of many texts.

    Attributes:
        name: of the whole, such as that of its file.
        texts: the names of the steps of each text; N in all.
        states: by layer, h of all steps one after the other, [N, P] float32, finite.
        ids: a name for each text; None: their numbers from 1.
    """

    name: str
    texts: Sequence[Sequence[str]]
    states: Mapping[str, Floats]
    ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        steps = sum(map(len, self.texts))
        for name, states in self.states.items():
            if states.ndim != 2 or len(states) != steps:
                raise UsageError(
                    f"corpus: {name} has states of shape {states.shape}; its texts have {steps:,} steps in all"
                )
            if not np.isfinite(states).all():
                raise UsageError(f"corpus: {name} holds states that are not finite")
        if not steps:
            raise UsageError("corpus: it has no step")

    @property
    def size(self) -> int:
        """Bytes in a page."""
        return sum(states.size for states in self.states.values())


def corpus_of(given: Any, at: str | None = None, name: str = "corpus") -> Corpus:
    """A corpus from what `explore` takes: (trace, labels), or several of them.

    Raises:
        UsageError: as `explore`.
    """
    if isinstance(given, Corpus):
        return given
    pairs = [given] if isinstance(given, tuple) else list(given)
    if not pairs or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise UsageError(
            "corpus takes (trace, labels), or a list of such pairs; labels: a list of names for each row"
        )
    return joined(((by_name(one_call(trace, None, at)[0]), labels, None) for trace, labels in pairs), name)


Part = tuple[Mapping[str, LayerTrace], Sequence[Sequence[str]], Sequence[str] | None]
"""A batch: its layers by name, for each row the names of its steps, and an id for each row or None."""


def joined(parts: Iterable[Part], name: str) -> Corpus:
    """A corpus of batches, all of which have ids or none.

    Raises:
        UsageError: another number of texts than rows, or of names than steps; batches of other layers.
    """
    texts: list[list[str]] = []
    ids: list[str] = []
    states: dict[str, list[NDArray[np.float32]]] = {}
    for layers, labels, own in parts:
        if states and states.keys() != layers.keys():
            raise UsageError(f"corpus: one batch has {', '.join(states)}, and another {', '.join(layers)}")
        texts += _texts(next(iter(layers.values())), labels)
        ids += own or []
        for place, lt in layers.items():
            rows = zip(lt.h.detach().cpu().float().unbind(1), lt.full_lengths().tolist(), strict=True)
            states.setdefault(place, []).extend(h[:steps].numpy() for h, steps in rows)
    return Corpus(name, texts, {place: np.concatenate(rows) for place, rows in states.items()}, ids or None)


def _texts(lt: LayerTrace, labels: Sequence[Sequence[str]]) -> list[list[str]]:
    lengths = lt.full_lengths().tolist()
    if len(labels) != len(lengths):
        raise UsageError(
            f"corpus: there are names for {len(labels):,} texts, and the batch has {len(lengths):,} rows"
        )
    for row, (names, steps) in enumerate(zip(labels, lengths, strict=True)):
        if isinstance(names, str) or len(names) != steps:
            raise UsageError(
                f"corpus: row {row} has {steps:,} steps, and labels has {len(names):,} names for it"
            )
    return [[str(name) for name in names] for names in labels]
