"""`explore`: two texts, or two models on one text, side by side, and the states nearest to a range of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import UsageError
from gatewise.memory import Readout
from gatewise.reports.captions import count
from gatewise.reports.document import Document
from gatewise.reports.explorer import corpus as corpora
from gatewise.reports.explorer.corpus import Corpus, corpus_of
from gatewise.reports.explorer.names import by_name
from gatewise.reports.explorer.sides import Side, side_of
from gatewise.reports.reading import read_target
from gatewise.reports.steps import step_names
from gatewise.reports.which import one_call

MOST_BYTES = 64_000_000
"""One for each step, unit and map of both sides: 2,000 steps of 512 units take 12 million."""


@dataclass(frozen=True, eq=False)
class Exploration(Document):
    """The explorer's page with its values; in a notebook it shows itself.

    Attributes:
        title: of the page. unit: what a step is called.
        sides: one or two. same_model: their states can be compared.
        corpus: read by the model of the first side; or None.
        facts: name and value of what a reader needs to make the page again.
    """

    title: str
    unit: str
    sides: Sequence[Side]
    same_model: bool
    corpus: Corpus | None = None
    facts: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        _check_sizes(self.sides, self.corpus)
        if self.same_model and len(self.sides) == 2:
            _check_same(*self.sides)
        if self.corpus is not None:
            _check_corpus(self.corpus, self.sides[0])

    def _render(self) -> str:
        from gatewise.reports.explorer.html import (
            render,  # the drawing of pages is loaded when one is asked for
        )

        return render(self)

    def __repr__(self) -> str:
        return f"Exploration({self.title!r}, {' and '.join(f'{len(s.steps):,} {self.unit}s' for s in self.sides)})"


def explore(
    trace: Any,
    other: Any = None,
    *,
    labels: Sequence[str] | None = None,
    other_labels: Sequence[str] | None = None,
    times: Sequence[Any] | None = None,
    other_times: Sequence[Any] | None = None,
    corpus: Any = None,
    row: int = 0,
    other_row: int = 0,
    at: str | None = None,
    other_at: str | None = None,
    names: Sequence[str] | None = None,
    same_model: bool | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Exploration:
    """A page with every gate and state of every unit at every step, of one recording or of two side by side.

    Rows can be sorted by time constant, by contribution and by value; marking a range of steps finds the steps, on
    both sides and in a corpus, whose h is nearest to the mean h of the range. All layers and directions of the module
    are on the page.

    Args:
        trace: from `gatewise.record`; or one of its modules or calls; or a readout, whose answer the contributions are
            to.
        other: the same of another text or of another model.
        labels, times: names and times of the row's steps; `other_labels`, `other_times`: of the other side's; where
            neither is given, they are those of the first.
        corpus: (trace, labels) of a batch of texts that the first side's model read, labels a list of names for each
            row; or a list of such pairs; or a `Corpus`.
        row, at: of the batch, and which module; `other_row`, `other_at`: of the other side, where None is as `at`.
        names: a title for each side.
        same_model: whether the states of both sides can be compared; None: yes where their layers have the same cells
            and sizes, and not the same steps.
        title: of the page. path: write the page to this file too. overwrite: also over one that exists.

    Raises:
        UsageError: as `report`; sides that are said to be of one model and have other layers; another number of `names`
            than of sides; more values than a page holds.
        GatewiseError: the file at `path` exists or cannot be written.
    """
    given = [(trace, row, at, labels, times)]
    if other is not None:
        own = (labels, times) if other_labels is None and other_times is None else (other_labels, other_times)
        given.append((other, other_row, at if other_at is None else other_at, *own))
    if isinstance(names, str):
        raise UsageError(f"names is one text; it takes a list of {len(given)}, a title for each side")
    if names is not None and len(names) != len(given):
        raise UsageError(f"names has {len(names):,} titles; the page has {count(len(given), 'side')}")
    titles = names or [f"row {row}" for _, row, *_ in given]
    sides = [_side(*one, title=str(name)) for one, name in zip(given, titles, strict=True)]
    made = Exploration(
        title=title or " beside ".join(side.title for side in sides),
        unit="word" if labels is not None and times is None else "step",
        sides=sides,
        same_model=_is_same(sides) if same_model is None else same_model,
        corpus=None if corpus is None else corpus_of(corpus, at),
    )
    if path is not None:
        made.save(path, overwrite)
    return made


def _side(
    trace: Any,
    row: int,
    at: str | None,
    labels: Sequence[str] | None,
    times: Sequence[Any] | None,
    *,
    title: str,
) -> Side:
    call, target = one_call(trace, None, at)
    layers = by_name(call)
    first = next(iter(layers.values()))
    if not 0 <= row < first.h.shape[1]:
        raise UsageError(
            f"{first.label}: there is no row {row}; the batch has {first.h.shape[1]}, counted from 0"
        )
    steps = int(first.full_lengths()[row])
    weights = None
    if isinstance(target, Readout):
        top = {lt.key: lt for lt in layers.values() if lt.key in target.weights}
        reading = read_target(target, top, row, steps)
        weights = {name: reading.weights[lt.key] for name, lt in layers.items() if lt.key in reading.weights}
    return side_of(layers, row, step_names(labels, times, steps, row), title=title, weights=weights)


def _shapes(side: Side) -> dict[str, tuple[str, int, int]]:
    """Of each layer its cell, H and P."""
    return {
        layer.name: (layer.cell, len(layer.time_constants), len(layer.contributions)) for layer in side.layers
    }


def _is_same(sides: Sequence[Side]) -> bool:
    if len(sides) == 1:
        return True
    first, second = sides
    return _shapes(first) == _shapes(second) and first.steps != second.steps


def _check_same(first: Side, second: Side) -> None:
    if _shapes(first) != _shapes(second):
        raise UsageError(
            f"same_model=True, and the sides have other layers: {_said(first)}, and {_said(second)}"
        )


def _said(side: Side) -> str:
    return "; ".join(f"{name} {cell} of {units} units" for name, (cell, units, _) in _shapes(side).items())


def _check_sizes(sides: Sequence[Side], corpus: Corpus | None) -> None:
    size = sum(side.size for side in sides)
    if size > MOST_BYTES:
        raise UsageError(
            f"the maps take {size:,} bytes, one for each step, unit and map, and a page holds {MOST_BYTES:,}: take "
            "fewer steps, or one side at a time"
        )
    if corpus is not None and corpus.size > corpora.MOST_BYTES:
        raise UsageError(
            f"the states of the corpus's {len(corpus.texts):,} texts take {corpus.size:,} bytes, one for each step and "
            f"unit of every layer, and a page holds {corpora.MOST_BYTES:,}: take fewer texts"
        )


def _check_corpus(corpus: Corpus, side: Side) -> None:
    for layer in side.layers:
        states = corpus.states.get(layer.name)
        if states is None:
            raise UsageError(f"corpus: it has {', '.join(corpus.states)}, and no {layer.name}")
        if states.shape[1] != len(layer.contributions):
            raise UsageError(
                f"corpus: states of {layer.name} have {states.shape[1]} units; the model has {len(layer.contributions)}"
            )
