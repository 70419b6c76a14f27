"""Every cell with every backend against the float64 oracle; our own kernels hardly farther from it than plain PyTorch.

That second rule is for the dtypes below float64, where the oracle's own rounding counts for nothing, and for runs that
compute enough numbers that plain PyTorch's error is no matter of luck.
"""

from contextlib import nullcontext

import numpy as np
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
    exact = made.x.dtype == torch.float64
    (check if exact or backend == "native" else check_rounded)(made, values, gradients)
    if backend == "native" and not exact and np.count_nonzero(made.expected.h_seq) >= ENOUGH:
        naive_values, naive_gradients = outcome(made, "naive")
        assert_as_near(values, naive_values, made.expected._asdict(), 2)
        if not near_a_kink(made):
            assert_as_near(gradients, naive_gradients, made.expected_gradients(cotangents_of(made)), 3)
