"""One step at a time, as frames of audio come: our stream beside nn.LSTMCell and onnxruntime, batch 1, 64 units.

Every run carries its state through 200 steps on one frame, without a graph; ours writes into the caller's `out`.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

import gatewise as gw
from benchmarks.kernels import onnx_lstm, peers
from benchmarks.kernels.rows import Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Results, Work, compare

UNITS, STEPS = 64, 200


def _cell(layer: nn.LSTM, x_t: Tensor, steps: int) -> Work:
    cell, zeros = peers.cell_of(layer), torch.zeros(len(x_t), layer.hidden_size)

    def run() -> Results:
        h, c = zeros, zeros
        with torch.no_grad():
            for _ in range(steps):
                h, c = cell(x_t, (h, c))
        return [h]

    return Work(run)


def _onnxruntime(layer: nn.LSTM, x_t: Tensor, steps: int) -> Work:
    run = onnx_lstm.stepping(layer, x_t, steps)
    return Work(run, lambda results: results[:1])


def _ours(layer: nn.LSTM, x_t: Tensor, steps: int) -> Work:
    stream = gw.from_torch(layer).streaming(batch_size=len(x_t))
    out = torch.empty(len(x_t), layer.hidden_size)

    def run() -> Results:
        stream.reset()
        for _ in range(steps):
            stream.step(x_t, out=out)
        return [out]

    return Work(run)


PEERS = {"step-cell": _cell, "step-onnxruntime": _onnxruntime}


def sample(name: str, seconds: float, *, units: int = UNITS, steps: int = STEPS) -> list[Sample]:
    """A peer of `PEERS` and ours; times are of all steps."""
    torch.manual_seed(0)
    layer, x_t = nn.LSTM(units, units), torch.randn(1, units)
    times = compare(PEERS[name](layer, x_t, steps), _ours(layer, x_t, steps), seconds)
    return [Sample(f"{steps} steps, 1, {units}, {units}", times)]


def measure(settings: Settings) -> Iterator[Row]:
    for name in PEERS:
        yield row(name, partial(sample, name, settings.seconds))
