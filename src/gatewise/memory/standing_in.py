"""A layer of ours that runs in the place of a torch.nn layer, with the weights that this one has."""

from threading import get_ident
from typing import Any

from torch import nn

from gatewise.interop.torch import without_weights
from gatewise.layers.base import Recurrent
from gatewise.layers.door import Batch
from gatewise.layers.passes import Pass
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.modules import Opened
from gatewise.memory.watching import open_passes


class StandIn:
    """The `forward` of a torch.nn layer for a while: its hooks, and who calls it, see no difference.

    Attributes:
        layer: what runs; it reads the module's own parameters at each call.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.layer: Recurrent = without_weights(opened.module)
        self.layer.weights = opened.weights  # for this one layer
        self.layer.watchers.append(self._see)
        self._last: dict[int, tuple[Batch, list[Pass]]] = {}  # by thread

    def __call__(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        module = self._opened.module
        self.layer.train(module.training).dropout = module.dropout
        return self.layer.forward(input, hx)

    def _see(self, batch: Batch, passes: list[Pass]) -> None:
        self._last[get_ident()] = batch, passes

    def open_last(self, *, keep_pre: bool = False, grad: bool = False) -> list[LayerTrace]:
        """Every layer and direction of this thread's last call; see `open_passes`."""
        here = Opened(self._opened.path, self.layer)
        return open_passes(here, *self._last[get_ident()], keep_pre=keep_pre, grad=grad)


def stand_in_of(module: nn.Module) -> StandIn | None:
    """What runs in the place of this torch.nn layer now."""
    forward = vars(module).get("forward")
    return forward if isinstance(forward, StandIn) else None


def is_intervened(module: nn.Module) -> bool:
    """Whether steps of this layer are changed now."""
    return stand_in_of(module) is not None or bool(getattr(module, "changes", None))
