"""What recording costs a layer of ours, every gate and state read: training and answers, recorded / not."""

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

import gatewise as gw
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.rows import NoFigureError, Row, Sample, WrongError, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Results, Work, agree, chosen, inference, inputs, training
from benchmarks.measure import in_turns_for
from benchmarks.recording import RESIDUAL, check_gates


def _recorded(layer: gw.LSTM, work: Work) -> Work:
    def run() -> Results:
        with gw.record(layer) as trace:
            results = work.run()
        seen = trace[""][0]
        assert all(gate is not None for gate in (seen.i, seen.f, seen.g, seen.o, seen.c, seen.h))
        return results

    return Work(run)


def _check(layer: gw.LSTM, x: torch.Tensor) -> None:
    """Raise `WrongError` unless the gates are those of a loop of nn.LSTMCell."""
    with torch.no_grad():
        with gw.record(layer) as trace:
            layer(x)
        seen = trace[""][0]
        worst = max(check_gates(seen, cast(nn.LSTM, layer.to_torch()), x), seen.residual)
    if not worst <= RESIDUAL:
        raise WrongError(f"gates differ by {worst:.1e}")


def sample(shape: Shape, seconds: float, *, train: bool) -> Sample:
    """Recorded and not."""
    x, grad = inputs(shape)
    layer = gw.LSTM(shape.I, shape.H)
    _check(layer, x)
    plain = training(layer, x, grad) if train else inference(layer, x)
    recorded = _recorded(layer, plain)
    agree(plain, recorded)
    return Sample(str(shape), in_turns_for(seconds, recorded.run, plain.run), {"backend": chosen(layer, x)})


def native_shapes() -> list[Shape]:
    """The shapes that a native kernel runs here."""
    native = [
        shape
        for shape in shapes("ragged")
        if chosen(gw.LSTM(shape.I, shape.H), torch.zeros(shape.T, shape.B, shape.I)) == "native"
    ]
    if not native:
        raise NoFigureError("no native kernel runs any of these shapes here")
    return native


def measure(settings: Settings) -> Iterator[Row]:
    yield row("recorded-training", lambda: [sample(s, settings.seconds, train=True) for s in native_shapes()])
    yield row(
        "recorded-inference", lambda: [sample(s, settings.seconds, train=False) for s in shapes("ragged")]
    )
