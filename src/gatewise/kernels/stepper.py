"""Layers over one another, prepared once and run step by step: by the native kernels, or by the cells' definition.

Both keep the states of their layers, have the values of eval (no dropout, zoneout's expectation) and record no graph.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gatewise.cells import CELLS, Variant
from gatewise.errors import UsageError
from gatewise.kernels import native
from gatewise.kernels.naive import unroll
from gatewise.kernels.registry import forced
from gatewise.kernels.weights import Weights

# Tells autograd that tensors were written to. The public function is the private one behind a little Python.
_WRITTEN = getattr(torch._C, "_increment_version", torch.autograd.graph.increment_version)

State = tuple[Tensor, ...]  # (h [B, P],) or (h [B, P], c [B, H])


class StepLayer(NamedTuple):
    """A layer to be stepped; its weights are copied."""

    cell: str
    variant: Variant
    weights: Weights


class Steps(Protocol):
    """What runs the steps of a stream.

    Attributes:
        backend: its name.
        states: of each layer, as they are now; may be written to.
    """

    backend: str

    @property
    def states(self) -> Sequence[State]: ...

    def fast(self, x: Any, out: Any) -> Tensor | None:
        """One step from x [B, I] (or [I]) into `out`, without a word about what does not fit: None where that is so."""

    def run(self, x: Tensor, out: Tensor) -> None:
        """The steps on x [T, B, I], in order, into a contiguous `out` [T, B, P]."""


def steps_of(layers: Sequence[StepLayer], batch_size: int, input_size: int) -> Steps:
    """The `Steps` of these layers, from zero states, on x [T, batch_size, input_size].

    Raises:
        UsageError: a forced backend cannot run them.
    """
    wanted, w = forced(), layers[0].weights.w_ih
    refusal = native.why_missing()
    if refusal is None and w.device.type != "cpu":
        refusal = f"the native kernels do not run on {w.device.type} devices"
    if wanted == "native" and refusal is not None:
        raise UsageError(f"backend 'native' cannot run this stream: {refusal}")
    if wanted not in ("", "native", "naive"):
        raise UsageError(f"backend {wanted!r} has no streams; 'native' and 'naive' have")
    native_runs = refusal is None and wanted != "naive"
    # Tensors made under inference_mode could not be written to outside of it.
    with torch.inference_mode(False), torch.no_grad():
        if native_runs:
            return _NativeSteps(layers, batch_size, input_size)
        return _NaiveSteps(layers, batch_size)


def _zero_states(layers: Sequence[StepLayer], batch_size: int, dtype: torch.dtype) -> list[State]:
    def zeros(size: int, device: torch.device) -> Tensor:
        return torch.zeros(batch_size, size, dtype=dtype, device=device)

    sizes = [
        (w.w_hh.shape[1], w.hidden_size) if CELLS[cell].has_c else (w.w_hh.shape[1],) for cell, _, w in layers
    ]
    device = layers[0].weights.w_ih.device
    return [tuple(zeros(size, device) for size in of_layer) for of_layer in sizes]


class _NaiveSteps:
    backend = "naive"

    def __init__(self, layers: Sequence[StepLayer], batch_size: int) -> None:
        self._layers = [
            layer._replace(weights=layer.weights.replaced([w.clone() for w in layer.weights.tensors()]))
            for layer in layers
        ]
        self.states = _zero_states(layers, batch_size, layers[0].weights.w_ih.dtype)

    def fast(self, x: Any, out: Any) -> None:
        return None

    @torch.no_grad()
    def run(self, x: Tensor, out: Tensor) -> None:
        for (cell, variant, weights), state in zip(self._layers, self.states, strict=True):
            h, *c = state
            result = unroll(cell, x, h, c[0] if c else None, weights, variant=variant.in_steps(False))
            state[0].copy_(result.h_n)
            if result.c_n is not None:
                state[1].copy_(result.c_n)
            x = result.h_seq
        out.copy_(x)


class _NativeSteps:
    """Layers in a type below float32 are computed in float32, and so are their states."""

    backend = "native"

    def __init__(self, layers: Sequence[StepLayer], batch_size: int, input_size: int) -> None:
        last = layers[-1].weights
        dtype = last.w_ih.dtype
        self._dtype = torch.float64 if dtype == torch.float64 else torch.float32
        first, second = (_zero_states(layers, batch_size, self._dtype) for _ in range(2))
        self._copies = first, second
        y = torch.empty(batch_size, last.w_hh.shape[1], dtype=dtype)
        new = partial(torch.empty_like, y), partial(torch.empty_like, y[0]), _WRITTEN
        self._stepper, self._held = native.stepper(layers, input_size, first, second, new)
        self.fast = self._stepper.step

    @property
    def states(self) -> Sequence[State]:
        return self._copies[self._stepper.turn]

    def run(self, x: Tensor, out: Tensor) -> None:
        frames = x.to(self._dtype).resolve_neg()
        if frames.stride(2) != 1:
            frames = frames.contiguous()
        y = out if out.dtype == self._dtype else torch.empty_like(out, dtype=self._dtype)
        places = (frames.data_ptr(), *frames.stride()[:2]), (y.data_ptr(), *y.stride()[:2])
        if not self._stepper.run(*places[0], *places[1], len(frames)):
            raise UsageError(
                "another thread is in the middle of a step of this stream; each thread needs a stream of its own"
            )
        if y is not out:
            out.copy_(y)
