"""Every cell with every backend against the float64 oracle; our own kernels hardly farther from it than plain PyTorch.

That second rule is for the dtypes below float64, where the oracle's own rounding counts for nothing, and for runs that
compute enough numbers that plain PyTorch's error is no matter of luck.
"""

from contextlib import nullcontext

import pytest
import torch
from compare import ENOUGH, assert_as_near

from contract.cases import build, check, check_rounded, cotangents_of, near_a_kink, outcome
from contract.catalogue import BACKENDS, DEVICES, arrays, cases
from contract.conditions import instruction_set
from contract.each import each

ARRAYS = [pytest.param(*array, id="{}-{}-seed{}".format(*array)) for array in arrays(thorough=False)]
ARRAYS += [
    pytest.param(*array, id="{}-{}-seed{}".format(*array), marks=pytest.mark.thorough)
    for array in arrays(thorough=True)
]


@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("backend", "cell", "seed"), ARRAYS)
def test_values_and_gradients(backend, cell, seed, device, needs, only):
    if device not in BACKENDS[backend].devices:
        pytest.skip(f"the {backend} backend does not run on {device}")
    needs(backend, device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        each(cases(backend, cell, seed), lambda k, case: judge(backend, case, 1000 * seed + k, device), only)


def judge(backend, case, seed, device):
    made = build(case, seed, device)
    with instruction_set(case["isa"]) if "isa" in case else nullcontext():
        values, gradients = outcome(made, backend)
    dtype, ours = made.x.dtype, backend == "native"
    if dtype == torch.float64 or (ours and dtype == torch.float32):
        check(made, values, gradients)
    elif not luck_of_bfloat16(made, ours):
        check_rounded(made, values, gradients)
    if ours and dtype != torch.float64 and not made.variant.layer_norm:
        naive_values, naive_gradients = outcome(made, "naive")
        assert_as_near(values, naive_values, made.expected._asdict(), 2)
        if not near_a_kink(made):
            assert_as_near(gradients, naive_gradients, made.expected_gradients(cotangents_of(made)), 3)


def luck_of_bfloat16(made, ours):
    """Where a chain of 8-bit roundings may end anywhere: in few units, and in numbers that are nearly the same.

    Those are magnified by layer normalisation, up to 1/√1e-5 times; ours computes it in float32. For the same reason
    no two computations of it are compared by their errors.
    """
    return made.x.dtype == torch.bfloat16 and (
        made.h0.numel() < ENOUGH or (made.variant.layer_norm and not ours)
    )
