"""The gradient of a loss by every state of a model's recurrent layers, and its size by lag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.gradient_reach import GradientReach, flow_table, gradient_reach
from gatewise.memory.places import ByCall, ByLayer, ByPath, Placed

Profile = Literal["h", "c", "highway"]


@dataclass(frozen=True, eq=False)
class LayerFlow(Placed):
    """The gradient of a loss by every state of one layer in one direction; float64, detached.

    All times stand in time order, also in the reverse direction; what lies beyond a row's length is zero.

    Attributes:
        path, layer, direction, cell: as in `LayerTrace`.
        dh: dL/dh_t, the total derivative: what reads h_t now, and through all later steps, [T, B, P].
        dc: dL/dc_t of an LSTM, likewise (through h_t too), [T, B, H]; else None.
        highway: the part that only the gates that keep carry back, [T, B, H]; for an LSTM of dL/dc_t (Π f), for a
            GRU of dL/dh_t (Π z); None for a plain RNN, which has no such way.
        lengths: [B] int64 valid steps of each row; None: all T.
    """

    path: str
    layer: int
    direction: Literal["forward", "reverse"]
    cell: str
    dh: Tensor
    dc: Tensor | None
    highway: Tensor | None
    lengths: Tensor | None

    @property
    def longest(self) -> int:
        """The steps of the longest row."""
        if self.lengths is None:
            return len(self.dh) if self.dh.shape[1] else 0
        return int(self.lengths.max()) if len(self.lengths) else 0

    def profile(self, of: Profile = "h") -> Tensor:
        """The mean size of the gradient by lag: `G(k) = mean over the rows of ‖dL/dx_{T-k}‖`, x = h or c.

        Lag 0 is the last step that the layer processed in a row (in the reverse direction the first in time). A
        row counts for the lags that it has.

        Args:
            of: "h" and "c" the full gradients, "highway" the highway part (of c for an LSTM, of h for a GRU).

        Returns:
            [T] float64; NaN at a lag that no row has.

        Raises:
            UsageError: the cell has no such gradient.
        """
        sizes = torch.linalg.vector_norm(self._gradient(of), dim=-1)  # [T, B]
        steps, batch = sizes.shape
        lengths = torch.full((batch,), steps) if self.lengths is None else self.lengths
        lags = torch.arange(steps, device=sizes.device)[:, None]
        has = lags < lengths.to(sizes.device)  # [T, B]
        if not self.reverse:
            sizes = sizes.gather(0, (lengths.to(sizes.device) - 1 - lags).clamp(min=0))
        return sizes.masked_fill(~has, 0).sum(1) / has.sum(1)

    def _gradient(self, of: str) -> Tensor:
        known = {"h": self.dh, "c": self.dc, "highway": self.highway}
        if of not in known:
            raise UsageError(f"there is no profile of {of!r}; there are {', '.join(known)}")
        gradient = known[of]
        if gradient is None:
            lacks = "no cell state c" if of == "c" else "no gate that keeps, so no highway"
            raise UsageError(f"{self.label}: a {self.cell} has {lacks}")
        return gradient

    def __repr__(self) -> str:
        steps, batch, _ = self.dh.shape
        return f"LayerFlow({self.label}: {self.cell}, T={steps}, B={batch})"


class CallFlow(ByLayer[LayerFlow]):
    """The gradients of one call of a module: its layers by `[k]` (forward) and `[k, "reverse"]`."""


class ModuleFlow(ByCall[LayerFlow]):
    """All calls of one module: `.calls[n]`; `[k]` and `[k, "reverse"]` where it was called once."""


class Flow(ByPath[ModuleFlow]):
    """The gradients of a loss by every state of a model: `flow[path]` is the module at that path.

    Attributes:
        loss: the value of the loss.
    """

    def __init__(self, modules: list[ModuleFlow], loss: float) -> None:
        super().__init__(modules)
        self.loss = loss

    def layers(self) -> list[LayerFlow]:
        """Every layer, by module, call, layer and direction."""
        return [lf for m in self._modules.values() for call in m.calls for lf in call.values()]

    @property
    def reaches(self) -> list[GradientReach]:
        """How far back the gradient of each layer reaches (of an LSTM's c, else of h), in the order of `layers`."""
        return [gradient_reach(lf) for lf in self.layers()]

    @property
    def sentences(self) -> list[str]:
        """The same in words, one sentence a layer."""
        return [reach.sentence for reach in self.reaches]

    def to_markdown(self, lags: Sequence[int] | None = None) -> str:
        """A table of the gradients' mean sizes by lag (`LayerFlow.profile`), in full and along the highway.

        One row a layer, direction and gradient, with the lag at which less than 1 % of it is left; a layer of a module
        that was called several times carries the number of the call.

        Args:
            lags: the columns; None: 0, 1, 2, 5, 10, 20, … and the first step of the longest row.

        Raises:
            UsageError: a lag that no row has.
        """
        named = [
            (lf.label + (f", call {n}" if len(m) > 1 else ""), lf)
            for m in self._modules.values()
            for n, call in enumerate(m.calls)
            for lf in call.values()
        ]
        return flow_table(named, lags)

    def __repr__(self) -> str:
        return f"Flow(loss={self.loss:g}: " + "; ".join(map(repr, self.layers())) + ")"
