"""Why a classifier answers as it does: what each word left in memory, and how far it moved the answer.

The score of label k is its logit minus the mean of the other logits (for two labels the log odds). It is linear in the
pooled hidden states, so `Σ push + initial + bias = score`, up to rounding. Held and push belong to the step that
wrote; the gates themselves also depend on the words before. A plain RNN keeps no such sum: it has neither, and its
words are ranked by occlusion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.tokenizer import Encoded
from gatewise.errors import UsageError
from gatewise.memory import half_life
from gatewise.reports.page import Check, FlowCurve, Page, Variables
from gatewise.reports.steps import step_names
from gatewise.tasks.classify.deletion import contrast
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.evidence import MOST_OCCLUDED
from gatewise.tasks.classify.evidence import evidence as gather
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.flows import flow_curves
from gatewise.tasks.classify.notes import notes_on
from gatewise.tasks.classify.opened import Opened, open_input, sums
from gatewise.tasks.classify.variables import variables_of
from gatewise.training.metrics import log_softmax

if TYPE_CHECKING:
    from gatewise.reports.report import Report

GATES = ("i", "f", "o", "r", "z")


@dataclass(frozen=True, eq=False)
class Inside:
    """What a page of an explanation shows beyond its numbers.

    Args:
        push: [T] towards the label for each direction of the top layer; empty for a plain RNN.
        command: with which it was asked for, or "".
    """

    fitted: FittedClassifier
    opened: Opened
    push: list[NDArray[np.float64]]
    flows: list[FlowCurve]
    variables: Variables | None
    command: str


@dataclass(frozen=True)
class Explanation:
    """One answer, taken apart. N words (for numeric sequences: steps).

    Args:
        words: the words as they stand in the text; for BPE the pieces; for numeric sequences the times of the steps,
            where they are known, else their numbers.
        spans: start and end of each in the text, in characters; empty for numeric sequences.
        held: share of the memory that the answer reads which this word wrote; they sum to 1. With two directions the
            mean of both. Empty for a plain RNN.
        push: how far this word moved the score, and which way. Empty for a plain RNN.
        unknown: whether the model has no embedding of its own for the word.
        cut: whether the word was not read, for the text is longer than the model reads.
        gates: for each sigmoid gate its mean over the units at each word; 0 for cut words.
        half_lives: steps until half of a unit's memory is gone, one a unit of the top layer.
        label: the explained label; `predicted` the answer. probability: calibrated, of `label`.
        score: its logit minus the mean of the other logits, not divided by the temperature.
        initial: what the initial state pushed; None for a plain RNN.
        residual: score - (Σ push + initial + bias): rounding; None for a plain RNN.
        notes: what a reader must know about these numbers for this model.
        kept: places of the words of the smallest set of highest push (for a plain RNN: of highest occlusion) with
            which alone the label keeps 90 % of its probability; empty where there is none.
        check: that set against the rest and against chance; None where no evidence was asked for.
        bare: the label's probability with every word left out; None likewise.
        occlusion: how far the score falls without each word, 0 for cut words; empty where it was not measured.
        inside: for the page; not part of the value.
    """

    text: str
    words: list[str]
    spans: list[tuple[int, int]]
    held: list[float]
    push: list[float]
    unknown: list[bool]
    cut: list[bool]
    gates: dict[str, list[float]]
    half_lives: list[float]
    label: str
    predicted: str
    probability: float
    probabilities: dict[str, float]
    score: float
    initial: float | None
    bias: float
    residual: float | None
    notes: list[str]
    kept: list[int] = field(default_factory=list)
    check: Check | None = None
    bare: float | None = None
    occlusion: list[float] = field(default_factory=list)
    inside: Inside | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        answer = f"{self.label!r} {self.probability:.1%}, kept {len(self.kept)} of {len(self.words)}"
        return f"Explanation({answer})"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; a half-life that is infinite is None, for JSON has no infinity."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "inside"}
        values["half_lives"] = [life if math.isfinite(life) else None for life in self.half_lives]
        values["check"] = None if self.check is None else asdict(self.check)
        return values

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def page(self, live: bool | None = None) -> Page:
        """Everything that a page shows of it, as values.

        Args:
            live: whether the page runs the model itself, on texts that its reader types; None: if it is a model of
                texts with at most 4 MB of weights.

        Raises:
            UsageError: `live`, and the page cannot run the model.
        """
        from gatewise.tasks.classify.page import page_of  # it knows this class

        return page_of(self, live)

    def to_html(self, live: bool | None = None) -> str:
        """One self-contained HTML page; `live` and errors as in `page`."""
        return self._report(live).html

    def _repr_html_(self) -> str:
        return self._report(live=False)._repr_html_()  # a notebook keeps its output, and stays small

    def _report(self, live: bool | None) -> Report:
        from gatewise.reports.report import Report  # the drawing of pages is loaded when one is asked for

        return Report(self.page(live))


def explain(
    fitted: FittedClassifier,
    x: Any,
    target: Any = None,
    *,
    evidence: bool = True,
    times: Sequence[Any] | None = None,
    beside: Sequence[FittedClassifier] = (),
    command: str = "",
) -> Explanation:
    """Explain one answer.

    Args:
        x: one text, or one array [T, F].
        target: the label to be explained; None: the predicted one.
        evidence: also find what it kept, test that, occlude every word and follow the gradient back. That takes some
            hundred passes; without it there is one.
        times: of an array, the time of each step: numbers, texts or dates.
        beside: other models of the same labels, whose gradients are shown beside this one's.
        command: noted on the page as the command that made it.

    Raises:
        UsageError: an unknown label; times of another number than there are steps; a model beside that does not fit.
    """
    opened = open_input(fitted, x)
    chosen = _target(fitted, opened.logits, target)
    top, is_sum = opened.top, bool(opened.top[0].gates)
    head = fitted.network.output
    v, bias = (
        contrast(head.weight.detach().double(), chosen),
        float(contrast(head.bias.detach().double(), chosen)),
    )
    score = float(contrast(opened.logits, chosen))
    probabilities = np.exp(log_softmax(opened.logits.cpu().numpy()[None] / fitted.temperature))[0]
    names = [str(label) for label in fitted.labels]
    shares, pushes, initial = sums(opened, v) if is_sum else ([], [], 0.0)
    push = np.sum(pushes, axis=0) if is_sum else None
    evident = gather(fitted, opened.array, push, chosen, float(probabilities[chosen])) if evidence else None
    place = opened.positions.tolist()
    return Explanation(
        **_words(fitted, x, opened.steps, times),
        held=opened.over_all(np.mean(shares, axis=0)) if is_sum else [],
        push=[] if push is None else opened.over_all(push),
        cut=(~np.isin(np.arange(opened.steps), opened.positions)).tolist(),
        gates={
            gate: opened.over_all(torch.cat([lt.gates[gate][:, 0] for lt in top], 1).mean(1).cpu().numpy())
            for gate in GATES
            if gate in top[0].gates
        },
        half_lives=torch.cat([half_life(lt) for lt in top]).tolist() if is_sum and len(place) else [],
        label=names[chosen],
        predicted=names[int(opened.logits.argmax())],
        probability=float(probabilities[chosen]),
        probabilities=dict(zip(names, probabilities.tolist(), strict=True)),
        score=score,
        initial=initial if is_sum else None,
        bias=bias,
        residual=None if push is None else score - bias - initial - float(push.sum()),
        notes=notes_on(fitted, is_sum, not_occluded=evidence and len(place) > MOST_OCCLUDED),
        kept=[place[step] for step in evident.kept] if evident else [],
        check=evident.check if evident else None,
        bare=evident.bare if evident else None,
        occlusion=opened.over_all(evident.occlusion) if evident and evident.occlusion else [],
        inside=Inside(
            fitted,
            opened,
            pushes,
            flow_curves(fitted, beside, x, names[chosen]) if evidence or beside else [],
            variables_of(fitted, x, opened, v),
            command,
        ),
    )


def _target(fitted: FittedClassifier, logits: Tensor, target: Any) -> int:
    if target is None:
        return int(logits.argmax())
    names = [str(label) for label in fitted.labels]
    if str(target) not in names:
        raise UsageError(f"there is no label {str(target)!r}; the labels are {', '.join(names)}")
    return names.index(str(target))


def _words(fitted: FittedClassifier, x: Any, steps: int, times: Sequence[Any] | None) -> dict[str, Any]:
    if isinstance(fitted.encoder, TextEncoder):
        encoded: Encoded = fitted.encoder.tokenizer.encode(x)
        return {
            "text": x,
            "words": list(encoded.tokens),
            "spans": [(start, end) for start, end in encoded.spans],
            "unknown": list(encoded.unknown),
        }
    words = step_names(None, times, steps, row=0)
    return {"text": f"{steps} steps", "words": words, "spans": [], "unknown": [False] * steps}
