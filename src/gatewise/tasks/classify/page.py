"""From an explanation to its page: every number put where a reader looks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import torch

from gatewise.errors import UsageError
from gatewise.reports.layer_view import layer_view
from gatewise.reports.page import Answer, LayerView, Page, Word
from gatewise.reports.view import answer, cautions, limits, model_notes, step_name, sum_terms
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.explanation import Explanation, Inside
from gatewise.tasks.classify.live import live_model
from gatewise.tasks.classify.quality import model_facts, quality_of, training_facts

NAN = float("nan")
LEFT_OUT = {
    True: "Leaving words out makes odd text, of a kind that the model has hardly seen; their neighbours come together "
    "and may form new word pairs.",
    False: "A step is left out by giving its values the training mean, which makes an odd sequence, of a kind that the "
    "model has hardly seen.",
}
DIVIDED = (
    "The push of a step is divided over its variables by gradient × input of the scaled values: a value at the "
    "training mean has none, and what a step wrote on account of its past and its biases belongs to no variable."
)
Value = TypeVar("Value")


def page_of(explanation: Explanation, live: bool | None = None) -> Page:
    """Everything that a page shows of an explanation.

    Args:
        live: whether the page runs the model itself; None: if its weights are small.

    Raises:
        UsageError: the explanation was put together by hand, and holds nothing of a model; `live`, and the page cannot
            run the model.
    """
    inside = explanation.inside
    if inside is None:
        raise UsageError(
            "this explanation does not come from explain, so there is no model to make a page of"
        )
    is_text = isinstance(inside.fitted.encoder, TextEncoder)
    model, absence = live_model(explanation, inside.fitted, live)
    broken: list[str] = []
    return Page(
        title=f"Gatewise: why {answer(explanation)}",
        heading="",
        unit="word" if is_text else "step",
        words=_words(explanation),
        layers=_layers(inside, broken),
        tail=explanation.text[explanation.spans[-1][1] :] if explanation.spans else "",
        answer=Answer(
            explanation.label, explanation.predicted, explanation.probability, explanation.probabilities
        ),
        check=explanation.check,
        flows=inside.flows,
        quality=_noted(lambda: quality_of(inside.fitted), None, "figures", broken),
        variables=inside.variables,
        terms=sum_terms(explanation),
        residual=explanation.residual or 0.0,
        facts=_facts(explanation, inside, broken),
        limits=[*_limits(explanation, inside, is_text), *absence],
        download=explanation.to_dict(),
        cautions=[*cautions(explanation), *broken],
        live=model,
    )


def _noted(read: Callable[[], Value], otherwise: Value, what: str, broken: list[str]) -> Value:
    """What `read` finds in the run's metrics, which may come from anywhere and hold anything."""
    try:
        return read()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        broken.append(f"the run's metrics.json has no readable {what}, so they are missing here")
        return otherwise


def _words(explanation: Explanation) -> list[Word]:
    kept, spans = set(explanation.kept), explanation.spans
    held, push, occlusion = (
        values or [NAN] * len(explanation.words)
        for values in (explanation.held, explanation.push, explanation.occlusion)
    )
    between = [" "] * len(explanation.words)
    if spans:
        ends = [0, *(end for _, end in spans[:-1])]
        between = [explanation.text[end:start] for end, (start, _) in zip(ends, spans, strict=True)]
    return [
        Word(
            word,
            between[at],
            held[at],
            push[at],
            occlusion[at],
            at in kept,
            explanation.unknown[at],
            explanation.cut[at],
        )
        for at, word in enumerate(explanation.words)
    ]


def _layers(inside: Inside, broken: list[str]) -> list[LayerView]:
    """The layer that the answer reads first, then those below."""
    opened = inside.opened
    if not len(opened.array):
        return []
    before = _noted(lambda: _lives_before(inside.fitted.metrics), {}, "half-lives", broken)
    top = opened.top
    views = {}
    for name, lt in opened.layers.items():
        place = next((k for k, one in enumerate(top) if one is lt), None)
        views[name] = layer_view(
            lt,
            name=f"{lt.cell.split('_')[0]}, {name}",
            positions=opened.positions,
            weights=None if place is None else opened.weights(place),
            is_read=place is not None,
            push=inside.push[place] if place is not None and inside.push else None,
            half_lives_before=_fitting(before.get(name), lt.content_shape[2]),
        )
    of_top = [name for name, lt in opened.layers.items() if any(lt is one for one in top)]
    return [views[name] for name in [*of_top, *(name for name in reversed(views) if name not in of_top)]]


def _lives_before(metrics: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Half-lives before training by layer; what is noted as None is without end."""
    found = metrics.get("half_lives", {}).get("before", {})
    return {
        name: torch.tensor([float("inf") if life is None else float(life) for life in lives])
        for name, lives in found.items()
    }


def _fitting(lives: torch.Tensor | None, units: int) -> torch.Tensor | None:
    return lives if lives is not None and lives.shape == (units,) else None


def _facts(explanation: Explanation, inside: Inside, broken: list[str]) -> list[tuple[str, str]]:
    """What is needed to make the page again; the residuals of the layers stand in their views."""
    facts = [("command", inside.command)] if inside.command else []
    facts += model_facts(inside.fitted)
    facts += _noted(lambda: training_facts(inside.fitted.metrics), [], "description of its training", broken)
    if explanation.bare is not None:
        facts.append(
            (f"probability of {explanation.label} with everything left out", f"{explanation.bare:.4f}")
        )
    if explanation.residual is not None:
        facts.append(("sum of the pushes, residual", f"{explanation.residual:.1e}"))
    now = ", ".join(f"{name} {version(name)}" for name in ("gatewise", "torch", "numpy"))
    return [*facts, ("versions of this page", now)]


def _limits(explanation: Explanation, inside: Inside, is_text: bool) -> list[str]:
    divided = inside.variables is not None and inside.variables.push is not None
    is_sum = explanation.initial is not None
    own = [*model_notes(explanation), *limits(step_name(explanation), is_sum)]
    return [*own, LEFT_OUT[is_text], *([DIVIDED] if divided else [])]
