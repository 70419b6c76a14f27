"""Training steps of gatewise's layers beside torch.nn's: dense, and ragged beside PackedSequence.

python -m benchmarks.layers [--threads 1] [--pairs 15]
"""

import argparse

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print("  ".join(f"{k}: {v}" for k, v in machine().items()))
    print("training step, forward and backward; ratio = gatewise / torch.nn (below 1: gatewise is faster)")
    for shape in SHAPES:
        T, B, inputs, hidden = shape
        x = torch.randn(T, B, inputs)
        for kind in (nn.LSTM, nn.GRU, nn.RNN):
            theirs = kind(inputs, hidden)
            ours = gw.from_torch(theirs)
            _check(_train(theirs, x), _train(ours, x))
            dense = paired(lambda m=theirs: _train(m, x), lambda m=ours: _train(m, x), pairs=arguments.pairs)
            print(f"{shape!s:20} {kind.__name__:4} {'dense':9}", dense)
            for name, shortest in RAGGED.items():
                lengths = torch.randint(max(1, int(shortest * T)), T + 1, (B,))
                lengths[0] = T
                packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
                _check(_train(theirs, packed), _train(ours, x, lengths=lengths))
                ragged = paired(
                    lambda m=theirs, p=packed: _train(m, p),
                    lambda m=ours, n=lengths: _train(m, x, lengths=n),
                    pairs=arguments.pairs,
                )
                print(f"{shape!s:20} {kind.__name__:4} {name:9}", ragged)


if __name__ == "__main__":
    main()
