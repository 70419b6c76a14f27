"""What a page shows, as plain values: the border between those who compute it and the one who draws it.

N is the number of steps of the sequence as the reader sees it (words, or points in time), T ≤ N the number that a
layer read, H its units. A part that is None or empty is left out of the page, or the page says why it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gatewise.reports.live import LiveModel

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Word:
    """One step of the sequence: a word of a text, or a point in time.

    Args:
        text: the word as it stands in the text; for a point in time its name.
        space: what stands between the word before and this one in the text.
        held: share of the read memory that it wrote, 0 to 1; nan where there is no such share (a plain RNN).
        push: how far it moved the score, and which way; nan where there is none (no target, a plain RNN).
        occlusion: how far the score falls when this step is left out; nan where that was not measured.
        kept: whether it belongs to the smallest set that alone keeps the answer.
        unknown: the model has no embedding for it. cut: it was not read at all.
    """

    text: str
    space: str = " "
    held: float = float("nan")
    push: float = float("nan")
    occlusion: float = float("nan")
    kept: bool = False
    unknown: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Answer:
    """The explained label with its calibrated probability; `predicted` is the model's answer."""

    label: str
    predicted: str
    probability: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """Does the explanation hold up: what becomes of the label's probability without what was kept, and with it only.

    Args:
        kept: how many steps the smallest set has that alone keeps the label at 90 % of its probability; 0: none does.
        spread_out: that set is larger than half of the sequence, or there is none.
        without, only: the label's probability without these steps, and with them only.
        random: its probability without as many steps drawn at random, one value a draw.
        holds: leaving the kept steps out lowers the probability more than at least 95 % of the random draws do.
    """

    kept: int
    spread_out: bool
    without: float
    only: float
    random: Sequence[float]
    holds: bool


@dataclass(frozen=True)
class LayerView:
    """One layer in one direction, for one sequence, in the order of time.

    Args:
        name: such as "lstm, layer 0" or "layer 1, reverse".
        cell: lstm, gru, gru_reset_before, rnn_tanh, rnn_relu.
        reverse: it read from the end.
        positions: [T] which of the N steps each of its steps is.
        gates: activated, each [T, H]: i f g o, or r z n; none for a plain RNN.
        memory: c of an LSTM, h of the others [T, H]; initial: what it started from [H].
        hidden: h [T, P].
        belt: [T, T]; belt[t, s] = Σ_j |R[t,s]⊙written_s|_j, how much of what step s wrote is in memory at t; zero
            where s comes after t in reading order. None for a plain RNN.
        edge: [T] the same for the memory as the answer reads it, as shares of 1: held of this layer and direction.
            None where the answer does not read this layer.
        reading: [T] how strongly the answer reads each step (attention weights; 1/T for the mean; for max pooling the
            share of units read there); None where the answer does not read this layer.
        push: [T] or None.
        half_lives: [H] steps, inf possible; half_lives_before: the same before training, or None.
        residual: largest difference between the h that the gates give and the layer's own.
    """

    name: str
    cell: str
    reverse: bool
    positions: NDArray[np.int64]
    gates: Mapping[str, Floats]
    memory: Floats
    initial: Floats
    hidden: Floats
    belt: Floats | None
    edge: Floats | None
    reading: Floats | None
    push: Floats | None
    half_lives: Floats
    half_lives_before: Floats | None
    residual: float


@dataclass(frozen=True)
class FlowCurve:
    """Norm of the gradient at every lag from the last step, lag 0 first; highway: what Πf (Πz) alone carries."""

    name: str
    full: Sequence[float]
    highway: Sequence[float] | None


@dataclass(frozen=True)
class Curve:
    """A figure over the epochs of the training, such as loss."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Quality:
    """How good the model is, on data that is named.

    Args:
        part: which data the figures are of, such as "validation part, 192 examples".
        figures: name and value, such as ("accuracy", "0.912").
        baselines: name and accuracy of simpler models on the same data.
        labels: K names; confusion: [K, K] counts, rows are the true labels.
        calibration: rows (mean probability of the answer, share that was right, examples).
        training: sentences on the data that it learned from, such as "768 examples: negative 384, positive 384".
    """

    part: str
    figures: Sequence[tuple[str, str]]
    curves: Sequence[Curve] = ()
    baselines: Sequence[tuple[str, float]] = ()
    labels: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    calibration: Sequence[tuple[float, float, int]] = ()
    training: Sequence[str] = ()


@dataclass(frozen=True)
class Variables:
    """A numeric sequence: values [N, F] in the user's units (nan = missing), and the push of each, or None.

    push[n, f] is gradient × input from the write of step n to variable f; `residual`: the largest |push of a step minus
    the sum over its variables|, which is what the step wrote on account of its past and its biases.
    """

    names: Sequence[str]
    values: NDArray[np.float64]
    push: NDArray[np.float64] | None
    residual: float


@dataclass(frozen=True)
class Page:
    """Everything on one page.

    Args:
        title: of the browser's window. heading: the first line of the page where there is no answer.
        unit: what a step is called: "step" in time; of a text "word", "character", "byte" or "token".
        tail: what stands after the last word in the text.
        words: the N steps. layers: the first one is shown first.
        terms: of the score, in order, the score itself last; residual: what the sum leaves open.
        cautions: what must be known before the numbers are trusted. limits: what the page does not show.
        facts: name and value of configuration, seed, versions, residuals, the exact command.
        download: JSON values that the reader can save.
        live: the model, where the page runs it by itself.
    """

    title: str
    heading: str
    unit: str
    words: Sequence[Word]
    layers: Sequence[LayerView]
    tail: str = ""
    answer: Answer | None = None
    check: Check | None = None
    flows: Sequence[FlowCurve] = ()
    quality: Quality | None = None
    variables: Variables | None = None
    terms: Sequence[tuple[str, float]] = ()
    residual: float = 0.0
    cautions: Sequence[str] = ()
    limits: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    download: Mapping[str, Any] = field(default_factory=dict)
    live: LiveModel | None = None
