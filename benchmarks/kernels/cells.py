"""GRU, RNN and projected LSTM layers in training, beside torch.nn's; GRU and RNN also ragged, beside packed ones."""

import warnings
from collections.abc import Callable, Iterator

from torch import nn

import gatewise as gw
from benchmarks.kernels import peers
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.ragged import uniform_lengths
from benchmarks.kernels.rows import Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import chosen, compare, inputs, training

Make = Callable[[int, int], nn.RNNBase]


def projected(inputs: int, units: int) -> nn.LSTM:
    """nn.LSTM with half as many outputs as units."""
    return nn.LSTM(inputs, units, proj_size=units // 2)


def dense(make: Make, shape: Shape, seconds: float) -> Sample:
    x, grad = inputs(shape)
    peer = make(shape.I, shape.H)
    ours = gw.from_torch(peer)
    grad = grad[..., : ours.output_size]
    with warnings.catch_warnings():  # said once, by nn.LSTM: the very thing that is measured
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
        times = compare(training(peer, x, grad), training(ours, x, grad), seconds)
    return Sample(str(shape), times, {"backend": chosen(ours, x)})


def ragged(make: Make, shape: Shape, seconds: float) -> Sample:
    x, grad = inputs(shape)
    peer, lengths = make(shape.I, shape.H), uniform_lengths(shape.T, shape.B)
    ours = gw.from_torch(peer)
    times = compare(peers.packed(peer, x, grad, lengths), training(ours, x, grad, lengths=lengths), seconds)
    return Sample(str(shape), times, {"backend": chosen(ours, x, lengths)})


ROWS: dict[str, tuple[Callable[[Make, Shape, float], Sample], Make]] = {
    "gru-training": (dense, nn.GRU),
    "rnn-training": (dense, nn.RNN),
    "projection-training": (dense, projected),
    "gru-packed": (ragged, nn.GRU),
    "rnn-packed": (ragged, nn.RNN),
}


def measure(settings: Settings) -> Iterator[Row]:
    for name, (batch, make) in ROWS.items():
        yield row(name, lambda b=batch, m=make: [b(m, shape, settings.seconds) for shape in shapes("ragged")])
