"""The native kernels against the float64 oracle, values and gradients, and hardly farther from it than plain PyTorch.

That second rule is for the dtypes below float64, where the oracle's own rounding counts for nothing, and for runs that
compute enough numbers that plain PyTorch's error is no matter of luck.
"""

import numpy as np
import pytest
import torch
from compare import ENOUGH, assert_as_near
from native_cases import cases, check, cotangents_of, make, native_only, run
from pairwise import case_id

CASES = cases(rounds=18)

pytestmark = native_only


def test_there_are_three_thousand():
    assert len(CASES) >= 3000


@pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: case_id(CASES[k]))
def test_values_and_gradients(k):
    made = make(seed=k, **CASES[k])
    values, gradients = run(made)
    check(made, values, gradients)
    if made.x.dtype != torch.float64 and np.count_nonzero(made.expected.h_seq) >= ENOUGH:
        naive_values, naive_gradients = run(made, "naive")
        assert_as_near(values, naive_values, made.expected._asdict(), 2)
        assert_as_near(gradients, naive_gradients, made.expected_gradients(cotangents_of(made)), 3)
