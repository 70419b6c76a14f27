"""A row of a batch knows nothing of the others: not their order, not their number, in no bit."""

import pytest
import torch
from contract.cases import assert_equal_bits
from contract.catalogue import VARIANTS
from contract.conditions import instruction_set
from native_cases import (
    CELLS,
    LSTMS,
    instruction_sets,
    make,
    native_only,
    per_row,
    rows_of,
)
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


# The one in use on all cases, the others on some.
RUNS = [(isa, k) for n, isa in enumerate(instruction_sets) for k in range(0, len(CASES), 4 if n else 1)]


@pytest.mark.parametrize(("isa", "k"), RUNS, ids=lambda v: v if isinstance(v, str) else case_id(CASES[v]))
def test_rows_in_another_order_and_alone(isa, k):
    made = make(seed=k, **CASES[k], **IN_EVAL)
    order = torch.randperm(IN_EVAL["B"])
    with instruction_set(isa):
        together, shuffled = per_row(made), per_row(rows_of(made, order))
        alone = [per_row(rows_of(made, [b])) for b in range(IN_EVAL["B"])]
    assert_equal_bits(shuffled, {name: t[order] for name, t in together.items()}, "in another order")
    for b, row in enumerate(alone):
        assert_equal_bits(row, {name: t[[b]] for name, t in together.items()}, f"of row {b} alone")
