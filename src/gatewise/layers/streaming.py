"""Single steps of a layer: `step`, an ordinary call with T = 1, and `Stream`, a prepared snapshot for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError, UsageTypeError
from gatewise.kernels.stepper import StepLayer, steps_of

if TYPE_CHECKING:
    from gatewise.layers.base import Recurrent
    from gatewise.layers.stack import Stack


def one_step(
    layer: Recurrent | Stack, members: Sequence[Recurrent], x_t: Tensor, state: Any
) -> tuple[Tensor, Any]:
    """`layer` on a sequence of one step; x_t [B, I] or [I], the output [B, P] or [P]. `members` are its layers."""
    _refuse_bidirectional(members, "a step")
    if not isinstance(x_t, Tensor):
        raise UsageTypeError(f"x_t is {x_t!r}; it must be a tensor")
    if x_t.dim() not in (1, 2):
        raise UsageError(f"x_t has {x_t.dim()} dimensions; a step takes [batch, features] or [features]")
    time = 1 if x_t.dim() == 2 and layer.batch_first else 0
    output, state = layer(x_t.unsqueeze(time), state)
    return output.squeeze(time), state


class _Member(NamedTuple):
    """A layer of the stream, which may be deep: where its states stand and their features, (P,) or (P, H)."""

    first: int
    end: int
    sizes: tuple[int, ...]


class Stream:
    """A layer made ready to run one step at a time: `layer.streaming()`, or `stack.streaming()`.

    The weights are copied and laid out for the processor once. Later changes of the layer do not reach the stream. It
    has the values of eval, whatever the layer's mode: dropout is off, zoneout takes its expectation. It records no
    graph; `layer.step` does. The state belongs to the stream: it begins with zeros, and every step moves it on.
    Autocast does not reach it. One thread at a time; streams in different threads do not disturb each other.

    Attributes:
        backend: what runs, "native" or, without a compiler at installation, off the CPU or forced, "naive".
        batch_size: B, the rows that run side by side.
        input_size, output_size: I, P.
        dtype, device: of the weights, and of everything that goes in and comes out.

    Example:
        stream = layer.streaming()
        for frame in microphone:              # each [1, I] or [I]
            y = stream.step(frame)            # [1, P] or [P], a new tensor each time
    """

    def __init__(self, layers: Sequence[Recurrent], batch_size: int, *, stacked: bool) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise UsageError(f"batch_size is {batch_size!r}; it is a whole number, 1 or more")
        _refuse_bidirectional(layers, "a stream")
        steps = [StepLayer(m.cell, m.variant, m.weights(k)) for m in layers for k in range(m.num_layers)]
        w_ih = steps[0].weights.w_ih
        for k, step in enumerate(steps):
            other = step.weights.w_ih
            if (other.dtype, other.device) != (w_ih.dtype, w_ih.device):
                raise UsageError(
                    f"layer {k} is {other.dtype} on {other.device}, layer 0 is {w_ih.dtype} on {w_ih.device}; "
                    "a stream has one type and one device"
                )
        self.batch_size = batch_size
        self.input_size = layers[0].input_size
        self.output_size = layers[-1].output_size
        self.batch_first = layers[0].batch_first
        self.dtype, self.device = w_ih.dtype, w_ih.device
        self._stacked = stacked
        ends = [sum(m.num_layers for m in layers[: k + 1]) for k in range(len(layers))]
        self._members = [
            _Member(end - m.num_layers, end, (m.output_size, m.hidden_size) if m.has_c else (m.output_size,))
            for m, end in zip(layers, ends, strict=True)
        ]
        self._steps = steps_of(steps, batch_size, self.input_size)
        self._fast = self._steps.fast
        self.backend = self._steps.backend

    def __repr__(self) -> str:
        sizes = f"{self.input_size} -> {self.output_size}"
        return f"Stream({sizes}, batch_size={self.batch_size}, {self.dtype}, {self.device}, {self.backend})"

    def step(self, x_t: Tensor, out: Tensor | None = None) -> Tensor:
        """One step.

        Args:
            x_t: [B, I], or [I] where B = 1.
            out: where to write the output, [B, P] or [P] like x_t; may be x_t itself.

        Returns: the last layer's h, `out` or a new tensor.

        Raises:
            UsageError: x_t or `out` does not fit, with the numbers, or needs a gradient; another thread is stepping.
        """
        y = self._fast(x_t, out)
        return self._step(x_t, out) if y is None else y

    def run(self, x: Tensor) -> Tensor:
        """The steps of a piece of a sequence, in order; pieces that follow each other give what the whole gives.

        Args:
            x: [T, B, I], [B, T, I] for a layer with batch_first, or [T, I] where B = 1.

        Returns: the last layer's h at every step, in the form of x; a new tensor.

        Raises:
            UsageError: as `step`.
        """
        x = self._checked(x, "x")
        B, size = self.batch_size, self.input_size
        single = x.dim() == 2 and B == 1
        frames = x[:, None] if single else x.transpose(0, 1) if x.dim() == 3 and self.batch_first else x
        if frames.dim() != 3 or frames.shape[1:] != (B, size):
            forms = f"[{B}, T, {size}]" if self.batch_first else f"[T, {B}, {size}]"
            raise UsageError(
                f"x has shape {_shape(x)}; this stream takes {forms}" + (f" or [T, {size}]" if B == 1 else "")
            )
        out = self._new(frames.shape[0], B, self.output_size)
        self._steps.run(frames, out)
        return out[:, 0] if single else out.transpose(0, 1) if self.batch_first else out

    @property
    def state(self) -> Any:
        """The state after the last step, a copy in the layer's own form; may be set to one that a layer returned.

        Shape: (h [L, B, P], c [L, B, H]) for an LSTM, h for the others, a tuple of these for a Stack. Set, it may come
        without B where that is 1, as layers return it for x [T, I]; None stands for zeros.
        """
        parts = [self._part(member) for member in self._members]
        return tuple(parts) if self._stacked else parts[0]

    def _part(self, member: _Member) -> Any:
        states = self._steps.states[member.first : member.end]
        stacked = tuple(torch.stack(layers).to(self.dtype) for layers in zip(*states, strict=True))
        return stacked if len(stacked) == 2 else stacked[0]

    @state.setter
    def state(self, state: Any) -> None:
        parts = (state,) if not self._stacked else (None,) * len(self._members) if state is None else state
        if len(parts) != len(self._members):
            raise UsageError(f"state holds {len(parts)} states; the stack has {len(self._members)} layers")
        checked = [
            self._checked_part(part, member) for part, member in zip(parts, self._members, strict=True)
        ]
        for member, part in zip(self._members, checked, strict=True):
            for k, layer in enumerate(self._steps.states[member.first : member.end]):
                for place, now in enumerate(layer):
                    now.zero_() if part is None else now.copy_(part[place][k])

    def _checked_part(self, part: Any, member: _Member) -> list[Tensor] | None:
        """The state of one member as tensors [L, B, *]."""
        if part is None:
            return None
        given = (part,) if isinstance(part, Tensor) else tuple(part)
        if len(given) != len(member.sizes):
            wanted = "(h, c)" if len(member.sizes) == 2 else "h"
            raise UsageError(f"state holds {len(given)} tensors; this layer takes {wanted}")
        states = []
        for name, tensor, size in zip("hc", given, member.sizes, strict=False):
            tensor = self._checked(tensor, f"{name} of the state", graph=True).detach()
            L, B = member.end - member.first, self.batch_size
            if B == 1 and tensor.dim() == 2:
                tensor = tensor[:, None]
            if tensor.shape != (L, B, size):
                raise UsageError(f"{name} of the state has shape {_shape(tensor)}; it must be {(L, B, size)}")
            states.append(tensor)
        return states

    def reset(self, rows: Tensor | Sequence[int] | None = None) -> None:
        """Back to zero states.

        Args:
            rows: only these rows of the batch, by number or as a bool tensor [B]; all where None.

        Raises:
            UsageError: a row that does not exist.
        """
        index = slice(None) if rows is None else self._rows(rows)
        for layer in self._steps.states:
            for state in layer:
                state[index] = 0

    def _rows(self, rows: Tensor | Sequence[int]) -> Tensor:
        index, B = torch.as_tensor(rows, device=self.device), self.batch_size
        if index.dtype == torch.bool and index.shape == (B,):
            return index
        if index.numel() == 0:
            return index.long()
        if index.dtype == torch.bool or index.is_floating_point() or index.is_complex() or index.dim() > 1:
            raise UsageError(f"rows is {rows!r}; it is a list of whole numbers, or a bool tensor of {B}")
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= B:
            raise UsageError(f"rows go from {low} to {high}; this stream has rows 0 to {B - 1}")
        return index.long()

    def _step(self, x_t: Tensor, out: Tensor | None) -> Tensor:
        """`step`, with all checks, for every form of tensor."""
        x_t = self._frame(x_t, "x_t", self.input_size)
        y = self._new(*x_t.shape[:-1], self.output_size)
        if out is not None:
            out = self._frame(out, "out", self.output_size)
            if out.dim() != x_t.dim():
                raise UsageError(f"out has {out.dim()} dimensions, x_t has {x_t.dim()}")
        B = self.batch_size
        self._steps.run(x_t.reshape(1, B, -1), y.view(1, B, -1))
        return y if out is None else out.copy_(y)

    def _frame(self, tensor: Any, name: str, size: int) -> Tensor:
        tensor, B = self._checked(tensor, name), self.batch_size
        if tensor.shape != (B, size) and not (B == 1 and tensor.shape == (size,)):
            forms = f"{(B, size)}" + (f" or {(size,)}" if B == 1 else "")
            raise UsageError(f"{name} has shape {_shape(tensor)}; for this stream it must be {forms}")
        return tensor

    def _checked(self, tensor: Any, name: str, *, graph: bool = False) -> Tensor:
        """A tensor of the stream's type and device; one that needs a gradient only with `graph`."""
        if not isinstance(tensor, Tensor):
            raise UsageTypeError(f"{name} is {tensor!r}; it must be a tensor")
        if tensor.dtype != self.dtype:
            raise UsageError(f"{name} is {tensor.dtype}; this stream's weights are {self.dtype}")
        if tensor.device != self.device:
            raise UsageError(f"{name} is on {tensor.device}; this stream is on {self.device}")
        if not graph and tensor.requires_grad and torch.is_grad_enabled():
            raise UsageError(
                f"{name} needs a gradient, and a stream records none; call it under torch.no_grad(), or use layer.step"
            )
        return tensor

    def _new(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)


def _refuse_bidirectional(layers: Sequence[Recurrent], what: str) -> None:
    for layer in layers:
        if layer.bidirectional:
            raise UsageError(
                f"{what} cannot see the future: this {type(layer).__name__} has bidirectional=True, and its reverse "
                "direction begins at the end of the sequence"
            )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
