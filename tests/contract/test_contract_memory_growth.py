"""Two thousand calls, forward and back, leave the process as large as the first ones did."""

import gc
import itertools
from pathlib import Path

import pytest
import torch

import gatewise as gw
from contract.catalogue import BACKENDS, CELLS
from contract.conditions import threads

CALLS, WARM = 2_000, 200
# h_n, a small tensor of every call, has 2 KiB; had every call left one behind, 2,000 calls would leave 4 MB.
I, H, T, B = 2, 64, 1, 8  # noqa: E741
ALLOWED = 2 * 2**20


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def steps(backend):
    """One call after another, cell by cell, ragged and whole, recorded and with a graph kept for a second pass."""
    variants = ("plain",) if BACKENDS[backend].plain_only else ("plain", "drop_h")
    layers = [
        line.layer(I, H, **line.options(variant, H))
        for line in CELLS.values()
        if BACKENDS[backend].has(line)
        for variant in variants
    ]
    x = torch.randn(T, B, I, requires_grad=True)
    for k, layer in enumerate(itertools.cycle(layers)):
        lengths = [1, 0] * (B // 2) if k % 2 else None
        output, _ = layer(x, lengths=lengths)
        torch.autograd.grad(output.sum(), [x, *layer.parameters()])
        yield


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_does_not_grow(backend, needs):
    needs(backend)
    with gw.backend(backend), threads(1):
        calls = steps(backend)
        for _ in itertools.islice(calls, WARM):
            pass
        before = resident()
        for _ in itertools.islice(calls, CALLS):
            pass
        grown = resident() - before
    assert grown <= ALLOWED, f"{grown / 2**20:.1f} MB more after {CALLS} calls"
