"""LSTM training on ragged batches: beside packed nn.LSTM, one call per distinct length, and a dense batch of our own.

Lengths are uniform in T/2..T, in any order; the first row has T steps.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import gatewise as gw
from benchmarks.kernels import peers
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.rows import Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Work, agree, chosen, compare, inputs, training
from benchmarks.measure import in_turns_for

Peer = Callable[[nn.LSTM, Tensor, Tensor, Tensor], Work]


def uniform_lengths(T: int, B: int) -> Tensor:
    """Lengths uniform in T/2..T, the first T, some a step longer than drawn so that B divides the sum; [B] int64."""
    lengths = torch.randint(max(T // 2, 1), T + 1, (B,), generator=torch.Generator().manual_seed(T))
    lengths[0] = T
    while missing := -int(lengths.sum()) % B:
        lengths[(lengths < T).nonzero()[:missing]] += 1
    return lengths


def sample(shape: Shape, peer: Peer, seconds: float) -> Sample:
    """A peer and ours on the same ragged batch."""
    x, grad = inputs(shape)
    layer = nn.LSTM(shape.I, shape.H)
    ours, lengths = gw.from_torch(layer), uniform_lengths(shape.T, shape.B)
    times = compare(peer(layer, x, grad, lengths), training(ours, x, grad, lengths=lengths), seconds)
    return Sample(str(shape), times, {"backend": chosen(ours, x, lengths)})


def against_dense(shape: Shape, seconds: float) -> Sample:
    """Our time for the ragged batch and for a dense one with as many valid steps and rows."""
    x, grad = inputs(shape)
    layer = nn.LSTM(shape.I, shape.H)
    ours, lengths = gw.from_torch(layer), uniform_lengths(shape.T, shape.B)
    steps = int(lengths.sum()) // shape.B
    x_dense, grad_dense = x[:steps].detach().requires_grad_(), grad[:steps]
    ragged, dense = training(ours, x, grad, lengths=lengths), training(ours, x_dense, grad_dense)
    agree(peers.per_length(layer, x, grad, lengths), ragged)
    agree(training(layer, x_dense, grad_dense), dense)
    return Sample(str(shape), in_turns_for(seconds, ragged.run, dense.run), {"dense_steps": steps})


def measure(settings: Settings) -> Iterator[Row]:
    for name, peer in (("ragged-packed", peers.packed), ("ragged-per-length", peers.per_length)):
        yield row(name, lambda p=peer: [sample(shape, p, settings.seconds) for shape in shapes("ragged")])
    yield row("ragged-dense", lambda: [against_dense(shape, settings.seconds) for shape in shapes("ragged")])
