"""Peers without a bar: a loop of nn.LSTMCell, that loop compiled, and onnxruntime over whole sequences."""

from collections.abc import Iterator

from torch import nn

import gatewise as gw
from benchmarks.kernels import onnx_lstm, peers
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.rows import NoFigureError, Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Work, compare, inference, inputs, training

COMPILED_SHAPE = Shape(100, 16, 64, 128)


def cell(shape: Shape, seconds: float, *, compiled: bool = False) -> Sample:
    """Training steps of the loop and ours."""
    x, grad = inputs(shape)
    layer = nn.LSTM(shape.I, shape.H)
    ours = gw.from_torch(layer)
    loop = peers.CellLoop(layer)
    if compiled:
        loop.compile(fullgraph=True)
    return Sample(str(shape), compare(training(loop, x, grad), training(ours, x, grad), seconds))


def onnxruntime(shape: Shape, seconds: float) -> Sample:
    """Answers of onnxruntime and ours."""
    x, _ = inputs(shape)
    layer = nn.LSTM(shape.I, shape.H)
    ours = gw.from_torch(layer)
    return Sample(str(shape), compare(Work(onnx_lstm.whole(layer, x)), inference(ours, x), seconds))


def measure(settings: Settings) -> Iterator[Row]:
    seconds = settings.seconds / 2

    def compiled() -> list[Sample]:
        if not settings.compiled:
            raise NoFigureError("only with --compiled: it takes a minute to compile")
        return [cell(COMPILED_SHAPE, seconds, compiled=True)]

    yield row("loop-cell", lambda: [cell(shape, seconds) for shape in shapes("ragged")])
    yield row("loop-compiled", compiled)
    yield row("loop-onnxruntime", lambda: [onnxruntime(shape, seconds) for shape in shapes("ragged")])
