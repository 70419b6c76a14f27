"""A row of a batch knows nothing of the others: not their order, not their number, in no bit."""

from dataclasses import replace

import pytest
import torch
from kernel_cases import VARIANTS
from native_cases import CELLS, LSTMS, assert_equal_bits, make, native_only, run
from oracle import Run
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


def rows_of(made, rows):
    """The same case with these rows of the batch, in this order, and their cotangents."""
    h_seq, c_seq, h_n, c_n, tape = made.cotangents

    def leaf(tensor, *place):
        return None if tensor is None else tensor.detach()[place].requires_grad_()

    def of(thing, *place):
        return None if thing is None else thing[place]

    every = slice(None)
    return replace(
        made,
        x=leaf(made.x, every, rows),
        h0=leaf(made.h0, rows),
        c0=leaf(made.c0, rows),
        lengths=of(made.lengths, rows),
        resets=of(made.resets, every, rows),
        cotangents=Run(h_seq[:, rows], of(c_seq, every, rows), h_n[rows], of(c_n, rows), tape),
    )


def per_row(made):
    """Outputs and gradients that have a row for each of the batch, with that dimension first."""
    values, gradients = run(made)
    seen = values | {f"d{name}": gradients[name] for name in ("x", "h0", "c0") if name in gradients}
    return {name: t.transpose(0, 1) if t.dim() == 3 else t for name, t in seen.items()}


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
