"""Work that the kernels cut into pieces: long sequences, many rows, wide inputs and wide layers."""

import pytest
import torch
from contract.cases import check
from contract.catalogue import VARIANTS
from native_cases import CELLS, LSTMS, make, native_only, per_row, rows_of, run
from pairwise import case_id, many

# A worker takes some 200 steps of rows at once, and of a matrix of more than 768 rows a part at a time.
SIZES = [
    {"T": 70, "B": 5, "I": 3, "H": 19},
    {"T": 260, "B": 1, "I": 2, "H": 4},
    {"T": 3, "B": 210, "I": 2, "H": 5},
    {"T": 2, "B": 9, "I": 800, "H": 7},
    {"T": 3, "B": 9, "I": 4, "H": 200},
    {"T": 2, "B": 3, "I": 5, "H": 300},
]
FACTORS = {
    "cell": CELLS,
    "size": range(len(SIZES)),
    "variant": ["plain", "drop_h"],
    "lengths": ["none", "unsorted", "with_zeros"],
    "resets": ["none", "few"],
    "reverse": [False, True],
    "bias": [True, False],
    "dtype": [torch.float32, torch.float64],
}
IN_KERNEL = [name for name in VARIANTS if "drop_weights" not in name]
CASES = many(FACTORS, rounds=2) + many({**FACTORS, "cell": LSTMS, "variant": IN_KERNEL}, rounds=1)

pytestmark = native_only


@pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: case_id(CASES[k]))
def test_values_and_gradients(k):
    case = dict(CASES[k])
    made = make(seed=k, **SIZES[case.pop("size")], **case)
    check(made, *run(made))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [{"I": 800, "H": 7}, {"I": 4, "H": 200}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_the_parts_of_a_matrix_are_summed_in_the_order_of_the_whole(cell, size, dtype):
    """A single row takes every matrix at once, nine rows take it in parts."""
    made = make(cell=cell, T=2, B=9, dtype=dtype, **size)
    for got, wanted in zip(per_row(rows_of(made, [4])).items(), per_row(made).items(), strict=True):
        assert got[0] == wanted[0] and torch.equal(got[1][0], wanted[1][4]), got[0]
