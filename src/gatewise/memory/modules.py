"""Which modules can be opened, what each one is, and which ones are refused by name."""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatewise.cells import GRUCell, LSTMCell, RNNCell
from gatewise.errors import UsageError
from gatewise.kernels.weights import Weights
from gatewise.layers.base import Recurrent
from gatewise.layers.streaming import Stream

TORCH_LAYERS = (nn.LSTM, nn.GRU, nn.RNN)
TORCH_CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
LAYERS = (*TORCH_LAYERS, Recurrent)
CELLS = (*TORCH_CELLS, LSTMCell, GRUCell, RNNCell)
NAMES = {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"}


@dataclass(frozen=True)
class Opened:
    """A recurrent module inside the recorded model; torch's and gatewise's carry the same attributes."""

    path: str
    module: Any

    @property
    def label(self) -> str:
        """Its place in words, for messages."""
        return self.path or "the model"

    @property
    def is_layer(self) -> bool:
        return isinstance(self.module, LAYERS)

    @property
    def hands_out_gates(self) -> bool:
        """Whether it is a layer of ours, which can be watched."""
        return isinstance(self.module, Recurrent)

    @property
    def goes_round(self) -> type[nn.Module] | None:
        """The layer of torch.nn that it is a subclass of, where its own forward goes round that layer's."""
        kinds = (known for known in TORCH_LAYERS if isinstance(self.module, known))
        return next((known for known in kinds if type(self.module).forward is not known.forward), None)

    @property
    def cell(self) -> str:
        """The name of its kind of cell."""
        module = self.module
        if isinstance(module, (nn.LSTMCell, LSTMCell)) or getattr(module, "mode", None) == "LSTM":
            return "lstm"
        if isinstance(module, (nn.GRUCell, GRUCell)) or getattr(module, "mode", None) == "GRU":
            return "gru" if getattr(module, "reset_after", True) else "gru_reset_before"
        mode = getattr(module, "mode", None) or f"rnn_{module.nonlinearity}"
        return str(mode).lower()

    @property
    def drops_between_layers(self) -> bool:
        """Whether a call now draws random dropout masks between its layers."""
        module = self.module
        return self.is_layer and module.training and module.num_layers > 1 and module.dropout > 0

    def weights(self, layer: int, reverse: bool = False) -> Weights:
        """The weights that the module uses now; read at each call, so that no change of them goes unseen."""
        if isinstance(self.module, Recurrent):
            return self.module.weights(layer, reverse=reverse)
        end = (f"_l{layer}" + ("_reverse" if reverse else "")) if self.is_layer else ""
        w_ih, w_hh = (getattr(self.module, name + end) for name in ("weight_ih", "weight_hh"))
        rest = (getattr(self.module, name + end, None) for name in ("bias_ih", "bias_hh", "weight_hr"))
        return Weights(w_ih, w_hh, *rest)


def find(model: nn.Module, *, inner: bool = False) -> list[Opened]:
    """The recurrent modules of `model`, itself included, in its own order.

    Args:
        inner: take a subclass of a torch.nn layer whose forward goes round that layer's; its inner calls are watched.

    Raises:
        UsageError: there is none, or one of them cannot be opened.
    """
    if isinstance(model, Stream):
        raise UsageError(
            "a stream keeps no gates; record the layer that it was made of, through its calls or its `step`"
        )
    found = []
    for path, module in model.named_modules():
        _refuse(path or "the model", module, inner)
        if isinstance(module, LAYERS + CELLS):
            found.append(Opened(path, module))
    if not found:
        raise UsageError(f"{type(model).__name__} holds no recurrent layer (LSTM, GRU, RNN or a cell of one)")
    return found


def _refuse(label: str, module: nn.Module, inner: bool) -> None:
    if _is_compiled(module):
        raise UsageError(
            f"{label} is compiled, and a compiled model skips what recording and interventions hook into"
        )
    if isinstance(module, torch.jit.ScriptModule) and getattr(module, "original_name", "") in NAMES:
        raise UsageError(f"{label} is a scripted {module.original_name}, which cannot be opened")
    base = next((b for b in type(module).__mro__ if b.__module__.startswith("torch.ao.nn.quantiz")), None)
    if base is not None and base.__name__ in NAMES:
        raise UsageError(f"{label} is a quantised {base.__name__}, which cannot be opened")
    for known in (Recurrent, *CELLS) if inner else (*LAYERS, *CELLS):
        if isinstance(module, known) and type(module).forward is not known.forward:
            raise UsageError(
                f"{label} is a {type(module).__name__}, whose forward is not that of {known.__module__}."
                f"{known.__name__}, so its gates cannot be read from its output"
            )


def _is_compiled(module: nn.Module) -> bool:
    # Looked up, not imported: importing the compiler takes seconds, and a compiled model has done so already.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    wrapped = dynamo is not None and isinstance(module, dynamo.OptimizedModule)
    return wrapped or getattr(module, "_compiled_call_impl", None) is not None
