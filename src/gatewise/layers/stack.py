"""Layers of different kinds, one over the other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from gatewise.errors import UsageError
from gatewise.layers.base import Recurrent
from gatewise.layers.streaming import Stream, one_step


class Stack(nn.Module):
    """Recurrent layers of any kinds, each reading the output of the one before.

    Args:
        layers: gatewise layers; each may itself be deep or bidirectional. All have the same batch_first.
        dropout: probability of dropping an output of every layer but the last, in training.

    Call: `output, state = stack(x, hx=None, lengths=None, resets=None)`.

    Shape: x and output as in the layers; state and hx are tuples with one native state a layer: (h_n, c_n) for an
        LSTM, h_n for a GRU or RNN. In hx an entry, or hx itself, may be None for zeros.

    Raises:
        UsageError: no layers; sizes or batch_first of neighbours that do not fit, with the numbers.

    Example:
        stack = gw.Stack([gw.GRU(64, 128), gw.LSTM(128, 128)])
        output, (gru_state, (h_n, c_n)) = stack(x, lengths=lengths)
    """

    def __init__(self, layers: Sequence[Recurrent], dropout: float = 0.0) -> None:
        super().__init__()
        if not layers:
            raise UsageError("a Stack holds 0 layers; give at least one")
        for k, layer in enumerate(layers):
            if not isinstance(layer, Recurrent):
                name = f"{type(layer).__module__}.{type(layer).__name__}"
                raise UsageError(
                    f"layer {k} of the stack is a {name}; a Stack takes gatewise layers (see gw.from_torch)"
                )
        if not 0 <= dropout <= 1:
            raise UsageError(f"dropout is {dropout}; it is a probability between 0 and 1")
        for k, (below, above) in enumerate(pairwise(layers)):
            out = below.output_size * below.num_directions
            if above.input_size != out:
                raise UsageError(
                    f"layer {k} of the stack puts out {out} features; "
                    f"layer {k + 1} was built with input_size={above.input_size}"
                )
            if above.batch_first != below.batch_first:
                raise UsageError(
                    f"layer {k} has batch_first={below.batch_first}, layer {k + 1} has batch_first={above.batch_first}"
                )
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout

    @property
    def batch_first(self) -> bool:
        return self._recurrent()[0].batch_first

    def _recurrent(self) -> list[Recurrent]:
        return [layer for layer in self.layers if isinstance(layer, Recurrent)]

    def forward(
        self,
        x: Tensor | PackedSequence,
        hx: Sequence[Any] | None = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        states: Sequence[Any] = (None,) * len(self.layers) if hx is None else hx
        if len(states) != len(self.layers):
            raise UsageError(f"hx holds {len(states)} states; the stack has {len(self.layers)} layers")
        output, final = x, []
        for k, (layer, state) in enumerate(zip(self.layers, states, strict=True)):
            output, last = layer(self._drop(output) if k else output, state, lengths, resets)
            final.append(last)
        return output, tuple(final)

    def step(self, x_t: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        """One step of all layers, with a graph; as in the layers, with a state as in a call."""
        return one_step(self, self._recurrent(), x_t, state)

    def streaming(self, batch_size: int = 1) -> Stream:
        """A snapshot of the stack made ready for single steps; as in the layers."""
        return Stream(self._recurrent(), batch_size, stacked=True)

    def _drop(self, output: Tensor | PackedSequence) -> Tensor | PackedSequence:
        if isinstance(output, PackedSequence):
            return output._replace(data=F.dropout(output.data, self.dropout, self.training))
        return F.dropout(output, self.dropout, self.training)
