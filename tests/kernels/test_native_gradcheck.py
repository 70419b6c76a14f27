"""Derivatives of every output of the native kernels with respect to every input, by PyTorch's own checker."""

from dataclasses import replace

import pytest
import torch
from kernel_cases import VARIANTS
from native_cases import CELLS, LSTMS, OF_EVERY_CELL, instruction_set, instruction_sets, make, native_only
from torch.autograd import gradcheck

from gatewise.kernels import backend

KINDS = [(cell, variant) for cell in CELLS for variant in OF_EVERY_CELL]
KINDS += [(cell, variant) for cell in LSTMS for variant in VARIANTS if variant not in OF_EVERY_CELL]

pytestmark = native_only


def function_of(made):
    """All outputs, as a function of all leaves."""

    def function(x, h0, *rest):
        c0, weights = (None, rest) if made.c0 is None else (rest[0], rest[1:])
        with backend("native"):
            result = replace(made, x=x, h0=h0, c0=c0, weights=made.weights.replaced(weights)).run()
        return tuple(t for t in result[:4] if t is not None)

    return function


@pytest.mark.parametrize(
    ("lengths", "resets", "reverse"), [("none", "none", False), ("with_zeros", "few", True)], ids=str
)
@pytest.mark.parametrize(("cell", "variant"), KINDS)
def test_every_input_and_every_output(cell, variant, lengths, resets, reverse):
    made = make(
        seed=3, cell=cell, variant=variant, lengths=lengths, resets=resets, reverse=reverse, keep_c=True,
        dtype=torch.float64, T=3, B=3, I=2, H=3,
    )  # fmt: skip
    assert gradcheck(function_of(made), tuple(made.leaves().values()), eps=1e-6, atol=1e-8, rtol=0)


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("cell", CELLS)
def test_whole_vectors_of_every_instruction_set(cell, isa):
    made = make(cell=cell, keep_c=True, dtype=torch.float64, T=2, B=1, I=1, H=9)
    with instruction_set(isa):
        assert gradcheck(function_of(made), tuple(made.leaves().values()), eps=1e-6, atol=1e-8, rtol=0)
