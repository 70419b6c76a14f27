"""What is timed: a layer's training step or its answer, together with what it computes, to be compared first."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import gatewise as gw
from benchmarks.kernels.plan import Shape
from benchmarks.kernels.rows import WrongError
from benchmarks.measure import Times, in_turns_for

Results = list[Tensor]


def _as_they_are(results: Results) -> Results:
    return results


@dataclass(frozen=True)
class Work:
    """Something to time.

    Attributes:
        run: does it; returns the output first, then gradients (x, parameters) or states.
        seen: brings results of `run` into the form of the layer's own, padded and in the order of the batch.
    """

    run: Callable[[], Results]
    seen: Callable[[Results], Results] = _as_they_are


@dataclass(frozen=True)
class Limits:
    """Largest relative error in the Euclidean norm, of the output and of what follows it.

    By default twice what the tests allow float32 against float64, since the peer errs as well.
    """

    values: float = 4e-6
    gradients: float = 2e-5


def relative_error(got: Tensor, expected: Tensor) -> float:
    got, expected = got.detach().double(), expected.detach().double()
    return float((got - expected).norm() / expected.norm().clamp(min=1e-300))


def agree(peer: Work, ours: Work, limits: Limits | None = None) -> None:
    """Raise `WrongError` unless both compute the same."""
    limits = limits or Limits()
    theirs, own = peer.seen(peer.run()), ours.seen(ours.run())
    for place, (expected, got) in enumerate(zip(theirs, own, strict=True)):
        error = relative_error(got, expected)
        if not error <= (limits.gradients if place else limits.values):
            raise WrongError(f"result {place} of {len(own)} differs by {error:.1e} in relative norm")


def compare(peer: Work, ours: Work, seconds: float, limits: Limits | None = None) -> Times:
    """Check both, then time them in turns for about `seconds`."""
    agree(peer, ours, limits)
    return in_turns_for(seconds, peer.run, ours.run)


def inputs(shape: Shape) -> tuple[Tensor, Tensor]:
    """x [T, B, I], a leaf with a gradient, and a gradient of the output [T, B, H]; the same for a shape always."""
    torch.manual_seed(0)
    return torch.randn(shape.T, shape.B, shape.I).requires_grad_(), torch.randn(shape.T, shape.B, shape.H)


def training(layer: nn.Module, x: Tensor | PackedSequence, grad: Tensor, **call: Tensor) -> Work:
    """A forward pass, and the gradients of x and all parameters for a given gradient of the output."""
    leaves = [x.data if isinstance(x, PackedSequence) else x, *layer.parameters()]

    def run() -> Results:
        output, _ = layer(x, **call)
        y = output.data if isinstance(output, PackedSequence) else output
        return [y, *torch.autograd.grad(y, leaves, grad)]

    return Work(run)


def inference(
    layer: nn.Module, x: Tensor, mode: Callable[[], AbstractContextManager[object]] = torch.no_grad
) -> Work:
    """A forward pass without a graph."""

    def run() -> Results:
        with mode():
            output, state = layer(x)
        return [output, *(state if isinstance(state, tuple) else (state,))]

    return Work(run)


def chosen(layer: gw.LSTM | gw.GRU | gw.RNN, x: Tensor, lengths: Tensor | None = None) -> str:
    """The backend that runs this call."""
    return gw.explain_backend(layer, x, lengths=lengths).backend
