"""How an answer reads the top layer of one row, and the sum of pushes that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, Readout, push_by_variable, push_ledger
from gatewise.memory.layer_trace import Key


@dataclass(frozen=True)
class Reading:
    """How the answer y of one row reads the T steps of the top layer: `y = Σ_t weights_t·h_t + constant`.

    Attributes:
        weights: [T, 1, P] float64 of each direction.
        value: y. constant: None where the answer is the sum itself.
        x, w_ih: of a readout: the layer's input [T, 1, F] and its input weights of each direction.
        left_out: in words, what else the answer reads.
    """

    weights: dict[Key, Tensor]
    value: float
    constant: float | None = None
    x: Tensor | None = None
    w_ih: dict[Key, Tensor] | None = None
    left_out: Sequence[str] = ()

    def shares(self, key: Key) -> Tensor:
        """How strongly each step is read in each unit, as shares of 1 over time: [T, 1, P]; 0 for a unit unread.

        That is the pooling itself for a linear head on the last state, the mean or the maximum: 1 at the last step,
        1/T, 1 where the unit is largest.
        """
        sizes = self.weights[key].abs()
        total = sizes.sum(0, keepdim=True)
        return sizes / torch.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class Pushes:
    """An answer as a sum: `push.sum() + initial + constant + residual = value`; push [T] over the directions.

    `by_direction`: each direction's own push [T]. `by_variable`: push [T, F] split over the inputs of each step, where
    these are known.
    """

    push: NDArray[np.float64]
    initial: float
    residual: float
    by_direction: dict[Key, NDArray[np.float64]]
    by_variable: NDArray[np.float64] | None


def read_target(target: Any, top: dict[Key, LayerTrace], row: int, steps: int) -> Reading:
    """The reading that a target names.

    Args:
        target: a `gatewise.memory.Readout`; or v [D·P] for the answer v·h at the step that each direction read last; or
            weights [T, D·P] or [T, B, D·P] for the answer Σ_t weights_t·h_t. D directions stand one after the other.
        top: the directions of the top layer, whole batch. row: of the batch. steps: its length.

    Raises:
        UsageError: a target of another kind or shape.
    """
    if isinstance(target, Readout):
        return Reading(
            {key: _row(q, row, steps).double() for key, q in target.weights.items()},
            value=float(target.value[row]),
            constant=float(target.constant[row]),
            x=_row(target.x, row, steps).double(),
            w_ih={key: w.detach().cpu() for key, w in target.w_ih.items()},
            left_out=target.left_out,
        )
    weights = _weights(target, list(top.values()), row, steps)  # [T, 1, D*P]
    parts = dict(zip(top, weights.chunk(len(top), dim=-1), strict=True))
    value = sum(float((parts[key] * _row(lt.h, row, steps).double()).sum()) for key, lt in top.items())
    return Reading(parts, value)


def pushes(reading: Reading, top: dict[Key, LayerTrace]) -> Pushes:
    """The answer of a reading as a sum over steps. `top`: one row each, LSTM or GRU."""
    by_direction: dict[Key, NDArray[np.float64]] = {}
    by_variable: list[Tensor] = []
    initial = 0.0
    for key, lt in top.items():
        ones = torch.ones(lt.h.shape[2], dtype=torch.float64)
        ledger = push_ledger(lt, reading.weights[key], ones)
        by_direction[key] = ledger.push[:, 0].double().numpy()
        initial += float(ledger.initial[0])
        if reading.x is not None and reading.w_ih is not None:
            split = push_by_variable(lt, reading.weights[key], ones, reading.x, reading.w_ih[key])
            by_variable.append(split.push[:, 0].double())
    whole = np.sum(list(by_direction.values()), axis=0)
    return Pushes(
        push=whole,
        initial=initial,
        residual=reading.value - (reading.constant or 0.0) - initial - float(whole.sum()),
        by_direction=by_direction,
        by_variable=torch.stack(by_variable).sum(0).numpy() if by_variable else None,
    )


def _row(tensor: Tensor, row: int, steps: int) -> Tensor:
    return tensor[:steps, row : row + 1].detach().cpu()


def _weights(target: Any, top: list[LayerTrace], row: int, steps: int) -> Tensor:
    """[T, 1, D*P] float64."""
    if isinstance(target, bool | int | str) or callable(target):
        raise UsageError(
            f"target is {target!r}, and a trace knows no output of the model; give what "
            "gatewise.memory.readout(model, inputs, target) returns"
        )
    try:
        given = torch.as_tensor(target).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"target is a {type(target).__name__}; it takes a readout, or a tensor of numbers ({error})"
        ) from None
    T, B, P = top[0].h.shape
    size = P * len(top)
    if given.shape == (size,):
        last = [steps - 1 if not lt.reverse else 0 for lt in top]
        weights = torch.zeros(steps, 1, size, dtype=torch.float64)
        for d, t in enumerate(last):
            weights[t, 0, d * P : (d + 1) * P] = given[d * P : (d + 1) * P]
        return weights
    if given.shape == (T, size):
        return given[:steps, None]
    if given.shape == (T, B, size):
        return _row(given, row, steps)
    raise UsageError(
        f"target has shape {tuple(given.shape)}; it takes [{size}] (a direction at the last step), [{T}, {size}] or "
        f"[{T}, {B}, {size}] (the weight of every step and unit)"
    )
