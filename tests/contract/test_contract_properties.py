"""NaN, padding, fresh memory, repeats, strides and what is given: properties that hold of every call."""

from contextlib import nullcontext

import pytest
import torch

from contract.cases import build, outcome
from contract.catalogue import BACKENDS, CELLS, DEVICES
from contract.conditions import instruction_set, poisoned_memory
from contract.each import each
from contract.properties import PROPERTIES, SEEDS, property_cases

ARRAYS = [
    pytest.param(
        backend.name, cell.name, seed,
        id=f"{backend.name}-{cell.name}-seed{seed}", marks=pytest.mark.thorough if seed else (),
    )
    for backend in BACKENDS.values()
    for cell in CELLS.values()
    if backend.has(cell)
    for seed in range(SEEDS)
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("backend", "cell", "seed"), ARRAYS)
def test_properties(backend, cell, seed, device, needs, only):
    if device not in BACKENDS[backend].devices:
        pytest.skip(f"the {backend} backend does not run on {device}")
    needs(backend, device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        each(
            property_cases(backend, cell, seed),
            lambda k, case: hold(backend, case, 1000 * seed + k, device),
            only,
        )


def hold(backend, case, seed, device):
    with instruction_set(case["isa"]) if "isa" in case else nullcontext():
        PROPERTIES[case["property"]](build(case, seed, device), backend)


def test_poisoned_memory_shows():
    with poisoned_memory():
        assert torch.empty(100).isnan().all()
        assert (torch.empty(100, dtype=torch.uint8) == 255).all()
    made = build({"T": 2, "B": 1, "H": 1, "I": 1})
    x = made.x
    with poisoned_memory():
        made.x = torch.empty_like(x).requires_grad_()
    assert outcome(made, "naive")[0]["h_seq"].isnan().any()
