"""The explorer of a classifier: two inputs, or two classifiers on one input, and the states of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import kept_positions
from gatewise.errors import DataError
from gatewise.reports.captions import share
from gatewise.reports.explorer.corpus import Corpus, joined
from gatewise.reports.explorer.door import Exploration
from gatewise.reports.explorer.sides import Side, side_of
from gatewise.reports.steps import step_names
from gatewise.tasks.classify.deletion import contrast
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.opened import open_input
from gatewise.tasks.classify.states import recorded

MOST_TEXTS = 300
"""Of a corpus, unless another number is asked for: evenly spaced over the data."""
TITLE = 60
"""Characters of a text that stand above its side."""


class Given(NamedTuple):
    """One side's input to one classifier: a text or an array [T, F]; the times of its steps; its name, or ""."""

    fitted: FittedClassifier
    x: Any
    times: Sequence[Any] | None = None
    name: str = ""


def explore_inputs(
    given: Sequence[Given],
    *,
    title: str | None = None,
    corpus: Texts | Series | None = None,
    most_texts: int = MOST_TEXTS,
    command: str = "",
) -> Exploration:
    """The explorer of one input or of two; where both have the same classifier, their states are compared.

    Args:
        given: one or two.
        title: of the page; None: the titles of its sides.
        corpus: texts or sequences that the first classifier reads, among whose states the nearest are looked for.
        most_texts: of the corpus, evenly spaced.
        command: noted on the page as the one that made it.

    Raises:
        UsageError: an input without a step; more than a page holds.
        DataError: a corpus in which every text is empty.
    """
    sides = [_side(one) for one in given]
    first = given[0].fitted
    return Exploration(
        title=title or " beside ".join(dict.fromkeys(side.title for side in sides)),
        unit="word" if isinstance(first.encoder, TextEncoder) else "step",
        sides=sides,
        same_model=all(one.fitted is first for one in given),
        corpus=None if corpus is None else corpus_states(first, corpus, most_texts),
        facts=[
            *([("command", command)] if command else []),
            (
                "versions of this page",
                ", ".join(f"{name} {version(name)}" for name in ("gatewise", "torch", "numpy")),
            ),
        ],
    )


def corpus_states(fitted: FittedClassifier, data: Texts | Series, most: int = MOST_TEXTS) -> Corpus:
    """h of every layer at every step that the classifier reads, of `most` inputs that are evenly spaced over `data`.

    Raises:
        DataError: every text is empty.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).round().astype(int)).tolist()
    encoder = fitted.encoder
    inputs = encoder.inputs(data)
    arrays = encoder.cut(encoder.full([inputs[k] for k in chosen]))
    kept = [k for k, array in enumerate(arrays) if len(array)]
    if not kept:
        raise DataError(f"{data.source}: every text is empty")
    names = [_steps(fitted, inputs[chosen[k]], None) for k in kept]
    ids = [data.ids[chosen[k]] for k in kept]
    parts = recorded(fitted, [arrays[k] for k in kept])
    batches = ((layers, [names[k] for k in batch], [ids[k] for k in batch]) for batch, layers in parts)
    return joined(batches, data.source)


def _side(given: Given) -> Side:
    fitted = given.fitted
    opened = open_input(fitted, given.x)
    best = int(opened.logits.argmax())
    probability = fitted.probabilities([given.x])[0][best]
    v = contrast(fitted.network.output.weight.detach().double(), best)  # [D·H]
    top = {
        name: place for place, one in enumerate(opened.top) for name, lt in opened.layers.items() if lt is one
    }
    weights = {}
    for name, place in top.items():
        own = opened.weights(place).double()  # [T, 1] or [T, 1, H]
        weights[name] = (own[..., None] if own.dim() == 2 else own).cpu() * opened.of_direction(
            place, v
        ).cpu()
    names = [*top, *(name for name in reversed(opened.layers) if name not in top)]
    return side_of(
        {name: opened.layers[name] for name in names},
        0,
        _steps(fitted, given.x, given.times),
        title=given.name or _shortened(given.x),
        note=f"{fitted.labels[best]} {share(float(probability))}",
        weights=weights,
    )


def _steps(fitted: FittedClassifier, x: Any, times: Sequence[Any] | None) -> list[str]:
    """The names of the steps that the network reads: those that are not cut away."""
    encoder = fitted.encoder
    if isinstance(encoder, TextEncoder):
        found = encoder.tokenizer.encode(x).tokens
    else:
        found = step_names(None, times, len(x), row=0)
    return [found[k] for k in kept_positions(len(found), encoder.max_length, encoder.where)]


def _shortened(x: Any) -> str:
    if not isinstance(x, str):
        return f"{len(x):,} steps"
    text = " ".join(x.split())
    return text if len(text) <= TITLE else f"{text[:TITLE].rsplit(' ', 1)[0]} …"
