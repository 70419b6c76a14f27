"""One side of the explorer: what every unit of every layer did with one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, time_constants
from gatewise.reports.explorer.quantised import Quantised, quantised
from gatewise.reports.layer_view import row_of
from gatewise.reports.page import Floats

SIGMOID = ("i", "f", "o", "r", "z")
SHADED = 0.995
"""Of the values of a map: those that get a shade of their own; the few larger ones share the last shade."""


@dataclass(frozen=True, eq=False)
class Map:
    """A gate or a state of every unit at every step.

    Attributes:
        values: [units, T], so that a row of the picture lies in one piece.
        limit: the size that gets the last shade.
    """

    values: Quantised
    limit: float


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer in one direction.

    Attributes:
        cell: lstm, gru, gru_reset_before, rnn_tanh or rnn_relu.
        time_constants: [H] steps, inf possible; nan for a plain RNN.
        contributions: [P], what each unit of h adds to the answer; without a reading, h at the step read last.
        maps: by name, h among them; those of gates and c have H rows, that of h P.
    """

    name: str
    cell: str
    reverse: bool
    time_constants: Floats
    contributions: Floats
    maps: Mapping[str, Map]


@dataclass(frozen=True, eq=False)
class Side:
    """One text as one model read it.

    Attributes:
        title: of the side. note: a line below it, or "".
        steps: their names, T ≥ 1.
        layers: the one that is shown first is the first.
        is_read: the contributions are to an answer.
        residual: the largest difference, over the layers, between the h that the gates give and the layer's own.
    """

    title: str
    note: str
    steps: Sequence[str]
    layers: Sequence[Layer]
    is_read: bool
    residual: float

    @property
    def size(self) -> int:
        """Bytes of its maps."""
        return sum(m.values.numbers.size for layer in self.layers for m in layer.maps.values())

    @property
    def error(self) -> tuple[float, str]:
        """What a value can be off by, at most, and in which map."""
        return max(
            (m.values.error, f"{name} of {one.name}") for one in self.layers for name, m in one.maps.items()
        )


def side_of(
    layers: Mapping[str, LayerTrace],
    row: int,
    steps: Sequence[str],
    *,
    title: str,
    note: str = "",
    weights: Mapping[str, Tensor] | None = None,
) -> Side:
    """The side of one row of recorded layers.

    Args:
        layers: by name, the one to be shown first at the front.
        steps: a name for each of the row's T steps.
        weights: by layer, how the answer reads h: Σ_t weights_t⊙h_t, each [T, 1, P]; None: no answer is known.

    Raises:
        UsageError: no such row, or one without steps; a value that is not finite.
    """
    made, residuals = [], []
    for name, lt in layers.items():
        one = row_of(lt, row)
        read = None if weights is None else weights.get(name)
        made.append(_layer(name, one, row, read, is_read=weights is not None))
        residuals.append(one.residual)
    return Side(title, note, list(steps), made, weights is not None, max(residuals))


def _layer(name: str, one: LayerTrace, row: int, weights: Tensor | None, *, is_read: bool) -> Layer:
    found = {**one.gates} | ({} if one.c is None else {"c": one.c}) | {"h": one.h}
    tau = time_constants(one) if one.gates else torch.full((one.content_shape[2],), torch.nan)
    return Layer(
        name=name,
        cell=one.cell,
        reverse=one.reverse,
        time_constants=_floats(tau),
        contributions=_contributions(one, weights, is_read),
        maps={key: _map(key, _checked(values, one, key, row)) for key, values in found.items()},
    )


def _contributions(one: LayerTrace, weights: Tensor | None, is_read: bool) -> Floats:
    h = one.h[:, 0].double()  # [T, P]
    if weights is not None:
        return _floats((weights[:, 0].to(h) * h).sum(0))
    return _floats(h[int(one.last_steps()[0])] if not is_read else torch.zeros(h.shape[1]))


def _checked(values: Tensor, one: LayerTrace, name: str, row: int) -> NDArray[np.float32]:
    """One row's values [units, T] float32, all finite."""
    own = values[:, 0].detach().to(torch.float32)
    bad = ~torch.isfinite(own).all(-1)  # [T]
    if bad.any():
        first = int(bad.nonzero()[-1 if one.reverse else 0])
        raise UsageError(
            f"{one.label}: {name} of row {row} holds numbers that are not finite, from step {first} on"
        )
    return np.ascontiguousarray(own.numpy().T)


def _map(name: str, values: Floats) -> Map:
    if name in SIGMOID:
        return Map(quantised(values, 1.0), 1.0)
    sizes = np.abs(values)
    limit = float(np.quantile(sizes, SHADED, method="higher"))
    return Map(quantised(values), limit or float(sizes.max()) or 1.0)


def _floats(values: Tensor) -> Floats:
    return values.detach().to(torch.float32).numpy()
