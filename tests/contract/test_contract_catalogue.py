"""The catalogue is whole, says what is so, and holds as many cases as the contract promises."""

import pytest
import torch
from oracle import CELLS as ORACLE_CELLS
from pairwise import case_id

from contract.cases import build, outcome
from contract.catalogue import BACKENDS, CELLS, DEVICES, VARIANTS, arrays, cases
from contract.properties import SEEDS, property_cases
from gatewise.cells import CELLS as PACKAGE_CELLS
from gatewise.errors import UsageError
from gatewise.kernels import registry


def test_every_cell_of_the_package_has_a_line_and_an_oracle():
    assert {line.cell for line in CELLS.values()} == set(PACKAGE_CELLS) == set(ORACLE_CELLS)


def test_every_backend_of_the_package_has_a_line():
    assert set(BACKENDS) == set(registry._BACKENDS)
    assert {device for line in BACKENDS.values() for device in line.devices} == set(DEVICES)


@pytest.mark.parametrize("name", CELLS)
def test_the_layer_of_a_line_is_a_layer_of_its_cell(name):
    line = CELLS[name]
    assert line.layer(3, 4).cell == line.cell


LACKING = [
    *[(backend.name, {"cell": cell}) for backend in BACKENDS.values() for cell in backend.lacks],
    *[
        (backend.name, case)
        for backend in BACKENDS.values()
        if backend.plain_only
        for case in ({"variant": "drop_h"}, {"variant": "peephole"}, {"resets": "few"}, {"T": 0}, {"B": 0})
    ],
]


@pytest.mark.parametrize(("backend", "case"), LACKING, ids=str)
def test_what_a_line_says_a_backend_lacks_is_refused_by_name(backend, case):
    with pytest.raises(UsageError, match=f"backend '{backend}' cannot run this call: PyTorch's"):
        outcome(build(case), backend)


def distinct(*, thorough):
    """How many different contract cases there are: of values, and of properties."""
    values = {
        (backend, case_id(case))
        for backend, cell, seed in [*arrays(thorough=False), *(arrays(thorough=True) if thorough else [])]
        for case in cases(backend, cell, seed)
    }
    properties = {
        (backend.name, case_id(case))
        for backend in BACKENDS.values()
        for cell in CELLS.values()
        if backend.has(cell)
        for seed in (range(SEEDS) if thorough else [0])
        for case in property_cases(backend.name, cell.name, seed)
    }
    return len(values), len(properties)


def test_there_are_three_thousand_cases_in_make_test(record_property):
    values, properties = distinct(thorough=False)
    record_property("cases", {"values": values, "properties": properties})
    print(f"{values} cases of values, {properties} of properties")
    assert values >= 3_000 and properties >= 1_500


@pytest.mark.thorough
def test_there_are_thirty_thousand_cases_in_make_test_all(record_property):
    values, properties = distinct(thorough=True)
    record_property("cases", {"values": values, "properties": properties})
    print(f"{values} cases of values, {properties} of properties")
    assert values >= 30_000 and properties >= 10_000


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_variant_meets_every_dtype_and_every_kind_of_length(dtype):
    met = {
        (c["variant"], c["dtype"], c["lengths"])
        for seed in (0, 1, 2, 3)
        for c in cases("native", "lstm", seed)
    }
    assert {variant for variant, of, _ in met if of == dtype} == set(VARIANTS)
    assert {(variant, lengths) for variant, _, lengths in met} >= {
        (variant, lengths) for variant in VARIANTS for lengths in ("none", "with_zeros", "all_zero")
    }
