"""A row of a batch knows nothing of the others: not their order, not their number, in no bit."""

import pytest
import torch
from kernel_cases import VARIANTS
from native_cases import CELLS, LSTMS, assert_equal_bits, make, native_only, per_row, rows_of
from pairwise import case_id, many

FACTORS = {
    "cell": CELLS,
    "H": [1, 16, 19, 40, 130],
    "lengths": ["none", "unsorted", "with_zeros"],
    "resets": ["none", "few"],
    "reverse": [False, True],
    "keep_c": [False, True],
    "dtype": [torch.float32, torch.float64, torch.bfloat16],
}
IN_EVAL = {"T": 6, "B": 9, "I": 5, "training": False}  # a mask depends on where the row stands
CASES = many(FACTORS, rounds=2) + many({**FACTORS, "cell": LSTMS, "variant": list(VARIANTS)}, rounds=1)

pytestmark = native_only


@pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: case_id(CASES[k]))
def test_rows_in_another_order_and_alone(k):
    made = make(seed=k, **CASES[k], **IN_EVAL)
    together = per_row(made)
    order = torch.randperm(IN_EVAL["B"])
    assert_equal_bits(
        per_row(rows_of(made, order)), {name: t[order] for name, t in together.items()}, "in another order"
    )
    for b in range(IN_EVAL["B"]):
        alone = per_row(rows_of(made, [b]))
        assert_equal_bits(alone, {name: t[[b]] for name, t in together.items()}, f"of row {b} alone")
