"""The parameters of one layer in one direction, as arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float64; rows and lengths are integers


class Params(NamedTuple):
    """Shape: w_ih [G*H, I], w_hh [G*H, P], b_ih and b_hh [G*H] or None, w_hr [P, H] or None.

    Of an LSTM's variants, else None: peephole [3H] (i, f, o), coupled [2H] (f, o); norm_ih and norm_hh [G*H], norm_c
    and norm_c_bias [H].
    """

    w_ih: Array
    w_hh: Array
    b_ih: Array | None = None
    b_hh: Array | None = None
    w_hr: Array | None = None
    peephole: Array | None = None
    norm_ih: Array | None = None
    norm_hh: Array | None = None
    norm_c: Array | None = None
    norm_c_bias: Array | None = None

    def like(self, make: Callable[[Array], Array]) -> "Params":
        """`make` of every array that exists."""
        return Params(*(None if a is None else make(a) for a in self))

    def blocks(self, count: int) -> list["Params"]:
        """The parameters of each gate by itself: every weight cut into `count` blocks of rows."""
        nothing = [None] * count
        b_ih = nothing if self.b_ih is None else np.split(self.b_ih, count)
        b_hh = nothing if self.b_hh is None else np.split(self.b_hh, count)
        w_ih, w_hh = np.split(self.w_ih, count), np.split(self.w_hh, count)
        return [Params(*gate) for gate in zip(w_ih, w_hh, b_ih, b_hh, strict=True)]


def random_params(
    rng: np.random.Generator,
    gates: int,
    inputs: int,
    hidden: int,
    *,
    bias: bool = True,
    projection: int = 0,
    peephole: bool = False,
    layer_norm: bool = False,
) -> Params:
    """Parameters ~ U(-1/√H, 1/√H), scales of layer normalisation ~ U(0.2, 0.6): every cell contractive or nearly so."""
    bound = 1 / np.sqrt(hidden)

    def draw(*shape: int) -> Array:
        return rng.uniform(-bound, bound, shape)

    rows = gates * hidden
    params = Params(
        draw(rows, inputs),
        draw(rows, projection or hidden),
        draw(rows) if bias else None,
        draw(rows) if bias else None,
        draw(projection, hidden) if projection else None,
    )
    if peephole:
        params = params._replace(peephole=draw((gates - 1) * hidden))
    if layer_norm:
        norms = {
            name: rng.uniform(0.2, 0.6, n)
            for name, n in (("norm_ih", rows), ("norm_hh", rows), ("norm_c", hidden))
        }
        params = params._replace(**norms, norm_c_bias=draw(hidden) if bias else None)
    return params
