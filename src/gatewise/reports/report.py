"""A page on any recorded layer: `report(trace)` for somebody's own model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatewise.errors import UsageError
from gatewise.memory import CallTrace, LayerTrace, ModuleTrace, Readout, Trace
from gatewise.memory.layer_trace import Key
from gatewise.reports.document import Document
from gatewise.reports.honesty import cautions, limits
from gatewise.reports.layer_view import layer_view, one_row
from gatewise.reports.page import LayerView, Page, Variables, Word
from gatewise.reports.reading import Pushes, Reading, pushes, read_target
from gatewise.reports.steps import step_names
from gatewise.reports.which import one_call

BELT_STEPS = 2000
"""A longer sequence gets no belt, which takes T² numbers."""


@dataclass(frozen=True)
class Report(Document):
    """A page with its values; in a notebook it shows itself."""

    page: Page

    def _render(self) -> str:
        from gatewise.reports.html import render  # the drawing of pages is loaded when one is asked for

        return render(self.page)

    def __repr__(self) -> str:
        return f"Report({self.page.title!r}, {len(self.page.words)} {self.page.unit}s)"


def report(
    trace: Trace | ModuleTrace | CallTrace | Readout,
    labels: Sequence[str] | None = None,
    times: Sequence[Any] | None = None,
    features: Sequence[str] | None = None,
    target: Any = None,
    *,
    row: int = 0,
    at: str | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Report:
    """A page on what a recorded layer wrote, kept, forgot and, with a target, how that moved the answer.

    All layers and directions of one module are on it, the top layer first.

    Args:
        trace: from `gatewise.record`; or one of its modules or calls; or a readout, which is its own target.
        labels: the name of each step of the row, such as its words.
        times: the time of each step: numbers, texts or dates.
        features: names of the F input variables of a layer; takes a readout of a module of one layer, and splits each
            step's push over them.
        target: how the answer reads the top layer. What `gatewise.memory.readout(model, inputs, target)` returns: then
            pushes + initial state + constant = the model's answer. Or a vector v [D·P] for the answer v·h, each of
            the D directions at the step that it read last. Or weights [T, D·P] or [T, B, D·P] for Σ_t weights_t·h_t.
            None: no push, and held is of the memory after the last step.
        row: of the batch.
        at: path of the module, where several were recorded.
        title: of the page; None: the module's path.
        path: write the page to this file too. overwrite: also over one that exists.

    Raises:
        UsageError: names of another number than the row has steps; no such row or module; a module that was not called
            exactly once; a row without steps; a target of another shape; a state that is not finite.
        GatewiseError: the file at `path` exists or cannot be written.
    """
    call, target = one_call(trace, target, at)
    layers = sorted(call.values(), key=lambda lt: (-lt.layer, lt.reverse))
    ones = {lt.key: one_row(lt, row) for lt in layers}
    for lt in ones.values():
        _check_finite(lt, row)
    steps = len(ones[layers[0].key].h)
    names = step_names(labels, times, steps, row)
    unit = "word" if labels is not None and times is None else "step"
    top: dict[Key, LayerTrace] = {lt.key: lt for lt in layers if lt.layer == layers[0].layer}
    reading = None if target is None else read_target(target, top, row, steps)
    pushed = pushes(reading, {key: ones[key] for key in top}) if reading and layers[0].gates else None
    views = [_view(lt, lt.key in top, reading, pushed) for lt in ones.values()]
    words = _words(names, views[: len(top)], pushed)
    if reading is None:  # held is of the memory at the end, which no answer is known to read
        views = [replace(view, edge=None, reading=None) for view in views]
    name = layers[0].path or layers[0].cell.split("_")[0]
    page = Page(
        title=title or f"{name}, row {row}",
        heading=title or f"What {name} remembered of {steps:,} {unit}s",
        unit=unit,
        words=words,
        layers=views,
        variables=None if features is None else _variables(features, reading, pushed, layers[0]),
        terms=_terms(reading, pushed, unit),
        residual=pushed.residual if pushed else 0.0,
        cautions=cautions(list(ones.values()), reading),
        limits=limits(list(ones.values()), unit, reading, has_belt=steps <= BELT_STEPS),
        facts=_facts(layers[0], steps, row),
    )
    made = Report(replace(page, download=_download(page)))
    if path is not None:
        made.save(path, overwrite)
    return made


def _check_finite(lt: LayerTrace, row: int) -> None:
    bad = ~torch.isfinite(lt.h).all(-1)[:, 0]  # [T]
    if bad.any():
        first = int(bad.nonzero()[-1 if lt.reverse else 0])
        raise UsageError(
            f"{lt.label}: h of row {row} holds numbers that are not finite, from step {first} on"
        )


def _view(lt: LayerTrace, is_top: bool, reading: Reading | None, pushed: Pushes | None) -> LayerView:
    return layer_view(
        lt,
        weights=reading.shares(lt.key) if reading and is_top else None,
        is_read=is_top,
        with_belt=len(lt.h) <= BELT_STEPS,
        push=pushed.by_direction[lt.key] if pushed and is_top else None,
    )


def _words(names: Sequence[str], tops: Sequence[LayerView], pushed: Pushes | None) -> list[Word]:
    """The steps with their held, the mean over the directions, and their push, the sum over them."""
    edges = [view.edge for view in tops if view.edge is not None]
    unknown = np.full(len(names), np.nan)
    held = np.stack(edges).mean(0) if edges else unknown
    push = pushed.push if pushed else unknown
    return [
        Word(name, space=" " if t else "", held=float(held[t]), push=float(push[t]))
        for t, name in enumerate(names)
    ]


def _variables(
    features: Sequence[str], reading: Reading | None, pushed: Pushes | None, top: LayerTrace
) -> Variables:
    if reading is None or reading.x is None:
        raise UsageError(
            "features needs the input of the layer, which a trace does not hold; give what "
            "gatewise.memory.readout(model, inputs, target) returns as target"
        )
    if top.layer:
        raise UsageError(
            f"{top.path or 'the model'} has {top.layer + 1} layers, and its top layer reads what the one below made, "
            "so its pushes cannot be split over features"
        )
    values = reading.x[:, 0].numpy()  # [T, F]
    if len(features) != values.shape[1]:
        raise UsageError(f"features has {len(features)} names; the layer has {values.shape[1]} inputs")
    split = pushed.by_variable if pushed else None
    residual = 0.0
    if pushed and split is not None:
        residual = float(np.abs(pushed.push - split.sum(1)).max())
    return Variables([str(name) for name in features], values, split, residual)


def _terms(reading: Reading | None, pushed: Pushes | None, unit: str) -> list[tuple[str, float]]:
    if reading is None or pushed is None:
        return []
    constant = [] if reading.constant is None else [("constant", reading.constant)]
    return [
        (f"pushes of all {unit}s", float(pushed.push.sum())),
        ("initial state", pushed.initial),
        *constant,
        ("answer", reading.value),
    ]


def _facts(top: LayerTrace, steps: int, row: int) -> list[tuple[str, str]]:
    return [
        ("module", top.path or "the model itself"),
        ("cell", top.cell),
        ("row", f"{row} of a batch of {top.h.shape[1]}, counted from 0"),
        ("steps, units", f"{steps:,}, {top.content_shape[2]:,}"),
        ("gatewise", version("gatewise")),
        ("torch", version("torch")),
    ]


def _download(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": page.title,
        "steps": [word.text for word in page.words],
        "held": [word.held for word in page.words],
        "push": [word.push for word in page.words],
        "terms": dict(page.terms),
        "residual": page.residual,
        "layers": [
            {
                "name": view.name,
                "cell": view.cell,
                "half_lives": view.half_lives.tolist(),
                "residual": view.residual,
            }
            for view in page.layers
        ],
        "facts": dict(page.facts),
    }
    if page.variables is not None:
        found["variables"] = {
            "names": list(page.variables.names),
            "values": page.variables.values.tolist(),
            "push": None if page.variables.push is None else page.variables.push.tolist(),
            "residual": page.variables.residual,
        }
    return found
