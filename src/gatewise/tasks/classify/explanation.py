"""Why a classifier answers as it does: what each word left in memory, and how far it moved the answer.

The score of label k is its logit minus the mean of the other logits (for two labels the log odds). It is linear in the
pooled hidden states, so `Σ push + initial + bias = score`, up to rounding. Held and push belong to the step that
wrote; the gates themselves also depend on the words before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.data.tokenizer import Encoded, kept_positions
from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, half_life, held, push_ledger, record
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.training.metrics import log_softmax

GATES = ("i", "f", "o", "r", "z")


@dataclass(frozen=True)
class Explanation:
    """One answer, taken apart. N words (for numeric sequences: steps).

    Args:
        words: the words as they stand in the text; for BPE the pieces.
        spans: start and end of each in the text, in characters; empty for numeric sequences.
        held: share of the memory that the answer reads which this word wrote; they sum to 1. With two directions the
            mean of both.
        push: how far this word moved the score, and which way.
        unknown: whether the model has no embedding of its own for the word.
        cut: whether the word was not read, for the text is longer than the model reads.
        gates: for each sigmoid gate its mean over the units at each word; 0 for cut words.
        half_lives: steps until half of a unit's memory is gone, one a unit of the top layer.
        label: the explained label; `predicted` the answer. probability: calibrated, of `label`.
        score: its logit minus the mean of the other logits, not divided by the temperature.
        residual: score - (Σ push + initial + bias): rounding.
        notes: what a reader must know about these numbers for this model.
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
    initial: float
    bias: float
    residual: float
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; a half-life that is infinite is None, for JSON has no infinity."""
        values = asdict(self)
        values["half_lives"] = [life if math.isfinite(life) else None for life in self.half_lives]
        return values

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_html(self) -> str:
        """One self-contained HTML page."""
        from gatewise.reports.explanation import (
            render_html,
        )  # reports stand above: only when one is asked for

        return render_html(self)

    def _repr_html_(self) -> str:
        return self.to_html()


@torch.no_grad()
def explain(fitted: FittedClassifier, x: Any, target: Any = None) -> Explanation:
    """Explain one answer.

    Args:
        x: one text, or one array [T, F].
        target: the label to be explained; None: the predicted one.

    Raises:
        UsageError: an unknown label; a plain RNN on top, whose memory is no sum of what was written.
    """
    config, network = fitted.config, fitted.network
    if config.cells[-1] == "rnn":
        raise UsageError(
            f"the top layer of this model ({config.cell}) is a plain RNN, which keeps no sum of what it wrote; "
            "held and push exist for lstm and gru"
        )
    full = fitted.encoder.full([x])
    arrays = fitted.encoder.cut(full)
    inputs, lengths = (t.to(next(network.parameters()).device) for t in fitted.encoder.collate(arrays))
    with record(network.recurrent) as trace:
        h = network.hidden(inputs, lengths)  # [T, 1, D·H]
        logits = network.output(network.pooling(h, lengths))[0].double()  # [K]
    layers = _top(trace, config.num_layers - 1, config.bidirectional)
    chosen = _target(fitted, logits, target)
    v, bias = _direction(network.output.weight, chosen), _direction(network.output.bias, chosen)
    score = _direction(logits, chosen)
    weights = network.pooling.weights(h, lengths)  # [T, 1] or [T, 1, D·H]
    shares, pushes, initial = _sums(layers, weights, v)
    kept = kept_positions(len(full[0]), config.max_length, config.truncate)
    probabilities = np.exp(log_softmax(logits.cpu().numpy()[None] / fitted.temperature))[0]
    names = [str(label) for label in fitted.labels]
    return Explanation(
        **_words(fitted, x, len(full[0])),
        held=_spread(shares, kept, len(full[0])),
        push=_spread(pushes, kept, len(full[0])),
        cut=(~np.isin(np.arange(len(full[0])), kept)).tolist(),
        gates={
            gate: _spread(torch.cat([lt.gates[gate][:, 0] for lt in layers], 1).mean(1), kept, len(full[0]))
            for gate in GATES
            if gate in layers[0].gates
        },
        half_lives=[] if len(kept) == 0 else torch.cat([half_life(lt) for lt in layers]).tolist(),
        label=names[chosen],
        predicted=names[int(logits.argmax())],
        probability=float(probabilities[chosen]),
        probabilities=dict(zip(names, probabilities.tolist(), strict=True)),
        score=float(score),
        initial=initial,
        bias=float(bias),
        residual=float(score - bias - initial - pushes.sum()),
        notes=_notes(fitted),
    )


def _top(trace: Any, layer: int, bidirectional: bool) -> list[LayerTrace]:
    """The traces of the top layer, one a direction."""
    module = trace[trace.paths[-1]]
    return [module[layer], module[layer, "reverse"]] if bidirectional else [module[layer]]


def _target(fitted: FittedClassifier, logits: Tensor, target: Any) -> int:
    if target is None:
        return int(logits.argmax())
    names = [str(label) for label in fitted.labels]
    if str(target) not in names:
        raise UsageError(f"there is no label {str(target)!r}; the labels are {', '.join(names)}")
    return names.index(str(target))


def _direction(rows: Tensor, chosen: int) -> Tensor:
    """Row `chosen` minus the mean of the others, in float64."""
    rows = rows.double()
    return rows[chosen] - (rows.sum(0) - rows[chosen]) / (len(rows) - 1)


def _sums(layers: list[LayerTrace], weights: Tensor, v: Tensor) -> tuple[Tensor, Tensor, float]:
    """Held [T], push [T] in float64, and what the initial states pushed, over the directions of a layer."""
    size = len(v) // len(layers)
    shares, pushes, initial = [], [], 0.0
    for position, lt in enumerate(layers):
        own = slice(position * size, (position + 1) * size)
        a = weights if weights.dim() == 2 else weights[:, :, own]
        ledger = push_ledger(lt, a, v[own])
        shares.append(held(lt, a)[:, 0].double())
        pushes.append(ledger.push[:, 0].double())
        initial += float(ledger.initial[0])
    return torch.stack(shares).mean(0), torch.stack(pushes).sum(0), initial


def _spread(values: Tensor, kept: np.ndarray, total: int) -> list[float]:
    """Values of the words that were read, at their places among all words; 0 elsewhere."""
    found = np.zeros(total)
    found[kept] = values.cpu().numpy()
    return found.tolist()


def _words(fitted: FittedClassifier, x: Any, steps: int) -> dict[str, Any]:
    if not isinstance(fitted.encoder, TextEncoder):
        words = [str(step) for step in range(1, steps + 1)]
        return {"text": f"{steps} steps", "words": words, "spans": [], "unknown": [False] * steps}
    encoded: Encoded = fitted.encoder.tokenizer.encode(x)
    return {
        "text": x,
        "words": list(encoded.tokens),
        "spans": [(start, end) for start, end in encoded.spans],
        "unknown": list(encoded.unknown),
    }


def _notes(fitted: FittedClassifier) -> list[str]:
    notes: Sequence[tuple[bool, str]] = (
        (
            len(fitted.config.cells) * fitted.config.num_layers > 1,
            "this is the top layer of several: what it writes at a word may stem from words before it",
        ),
        (
            fitted.config.bidirectional,
            "one half of the model reads from the end: what it writes at a word may stem from words after it",
        ),
        (
            fitted.config.bigrams > 0 and isinstance(fitted.encoder, TextEncoder),
            "the model also reads pairs: a word's push holds that of the pair it ends",
        ),
    )
    return [text for holds, text in notes if holds]
