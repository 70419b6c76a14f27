"""What a call of a layer hands to those who watch it."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gatewise.kernels import Result, Weights
from gatewise.layers.door import Batch


class Pass(NamedTuple):
    """One layer in one direction, as it ran; everything as the call had it, in its graph.

    Attributes:
        layer: index of the layer.
        reverse: whether it is the second direction.
        x: what it read, [T, B, I].
        h0, c0: initial states, [B, P] and [B, H] (None without a cell state).
        weights: its parameters.
        seed: of the masks that it drew, or None.
        result: what came out, with c_seq and the gates where the backend has them.
    """

    layer: int
    reverse: bool
    x: Tensor
    h0: Tensor
    c0: Tensor | None
    weights: Weights
    seed: Tensor | None
    result: Result


Watcher = Callable[[Batch, list[Pass]], None]
"""Called inside a layer's call, in its thread, when all its layers and directions have run."""
