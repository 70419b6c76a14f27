"""Training steps of gatewise's layers beside torch.nn's: dense, and ragged beside PackedSequence.

python -m benchmarks.layers [--threads 1] [--pairs 15]
"""

import argparse
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import gatewise as gw
from benchmarks.measure import machine, paired

# T, B, I, H
SHAPES = ((100, 16, 64, 128), (100, 32, 128, 256), (400, 8, 32, 64))
# The shortest row of a ragged batch, as a share of the longest: a bucketed batch, and one drawn at random.
RAGGED = {"bucketed": 0.85, "random": 0.0}


def _train(layer: nn.Module, *args: object, **kwargs: object) -> list[Tensor]:
    layer.zero_grad(set_to_none=True)
    output, _ = layer(*args, **kwargs)
    (output.data if isinstance(output, PackedSequence) else output).sum().backward()
    return [p.grad for p in layer.parameters() if p.grad is not None]


def _check(peer: list[Tensor], ours: list[Tensor]) -> None:
    for a, b in zip(peer, ours, strict=True):
        error = ((a - b).norm() / a.norm()).item()
        if error > 1e-4:
            raise SystemExit(f"gradients differ by {error:.1e} in relative norm; no figure is worth printing")


def _measure(
    kind: type[nn.LSTM] | type[nn.GRU] | type[nn.RNN], shape: tuple[int, int, int, int], pairs: int
) -> None:
    """Print a line for the dense batch and one for each ragged batch."""
    T, B, inputs, hidden = shape
    x = torch.randn(T, B, inputs)
    theirs = kind(inputs, hidden)
    ours = gw.from_torch(theirs)
    name = f"{shape!s:20} {kind.__name__:4}"
    _check(_train(theirs, x), _train(ours, x))
    print(name, f"{'dense':9}", paired(lambda: _train(theirs, x), lambda: _train(ours, x), pairs=pairs))
    for ragged, shortest in RAGGED.items():
        lengths = torch.randint(max(1, int(shortest * T)), T + 1, (B,))
        lengths[0] = T
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        peer, mine = partial(_train, theirs, packed), partial(_train, ours, x, lengths=lengths)
        _check(peer(), mine())
        print(name, f"{ragged:9}", paired(peer, mine, pairs=pairs))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print("  ".join(f"{k}: {v}" for k, v in machine().items()))
    print(
        "training step, forward and backward: torch.nn, gatewise, ratio gatewise / torch.nn (below 1 is faster)"
    )
    for shape in SHAPES:
        for kind in (nn.LSTM, nn.GRU, nn.RNN):
            _measure(kind, shape, options.pairs)


if __name__ == "__main__":
    main()
