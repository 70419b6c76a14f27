"""What the machine's matrix products reach, the measure of how much of a layer's time is arithmetic."""

from functools import cache

import torch

from benchmarks.measure import in_turns

_SIZE = 2048
_TURNS = 5


@cache
def peak(dtype: torch.dtype = torch.float32) -> float:
    """The best GFLOP/s of a product 2048 × 2048 × 2048, of torch's BLAS and oneDNN, at torch's number of threads."""
    a, b = torch.randn(2, _SIZE, _SIZE).to(dtype)

    def blas() -> None:
        torch.mm(a, b)

    def onednn() -> None:
        torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")

    in_turns(blas, onednn, 1)
    return 2 * _SIZE**3 / float(in_turns(blas, onednn, _TURNS).min()) / 1e9


def share(flops: float, seconds: float) -> float:
    """The share of the float32 peak at which so many operations ran."""
    return flops / seconds / 1e9 / peak()
