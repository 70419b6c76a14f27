"""Every layer against the oracle's stack, and its weights there and back between PyTorch, a file and ours."""

import pytest
import torch
from safetensors.torch import load, save

import gatewise as gw
from contract.catalogue import BACKENDS, CELLS
from contract.each import each
from contract.layer_cases import SEEDS, flat, judge_layer, layer_cases

ARRAYS = [
    pytest.param(backend.name, cell.name, seed, marks=pytest.mark.thorough if seed else ())
    for backend in BACKENDS.values()
    for cell in CELLS.values()
    if backend.has(cell)
    for seed in range(SEEDS)
]


@pytest.mark.parametrize(("backend", "cell", "seed"), ARRAYS)
def test_values_and_gradients_of_layers(backend, cell, seed, needs, only):
    needs(backend)
    each(layer_cases(backend, cell, seed), lambda k, case: judge_layer(backend, case, 1000 * seed + k), only)


OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"num_layers": 3, "bias": False, "bidirectional": True},
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", [name for name, line in CELLS.items() if line.torch is not None])
def test_state_dicts_go_from_torch_through_ours_and_a_file_back_to_torch(name, options, dtype):
    line = CELLS[name]
    of_cell = line.options("plain", 4)
    theirs, back = (line.torch(3, 4, dtype=dtype, **of_cell, **options) for _ in range(2))
    ours = line.layer(3, 4, dtype=dtype, **of_cell, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    stored = load(save(ours.state_dict()))
    back.load_state_dict(stored, strict=True)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(back.state_dict()) == list(expected)
    for key, value in expected.items():
        assert torch.equal(stored[key], value) and torch.equal(back.state_dict()[key], value), key
    if dtype == torch.float64:
        x = torch.randn(5, 2, 3, dtype=dtype)
        for got, wanted in zip(flat(ours(x)), flat(back(x)), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", CELLS["lstm"].variants)
def test_state_dicts_of_every_variant_go_through_a_file(variant):
    line = CELLS["lstm"]
    layer, other = (line.layer(3, 4, num_layers=2, **line.options(variant, 4)).eval() for _ in range(2))
    x = torch.randn(5, 2, 3)
    assert not torch.equal(layer(x)[0], other(x)[0])
    other.load_state_dict(load(save(layer.state_dict())), strict=True)
    assert torch.equal(layer(x)[0], other(x)[0])
    assert isinstance(layer, gw.LSTM)
