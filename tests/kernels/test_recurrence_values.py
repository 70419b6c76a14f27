"""`recurrence` against the oracle, values and gradients, over pairwise cases; every backend that has the case."""

from functools import lru_cache

import pytest
from kernel_cases import all_cases, build, can
from pairwise import case_id

from gatewise.kernels import backend as force_backend

CASES = all_cases()
BACKENDS = ("naive", "aten", "native")
RUNS = [(k, backend) for k, case in enumerate(CASES) for backend in BACKENDS if can(backend, case)]


@lru_cache(maxsize=4)
def built(k):
    return build(CASES[k], seed=k)


def name(run):
    return f"{run[1]}-{case_id(CASES[run[0]])}"


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_values_and_gradients_equal_the_oracle(run):
    k, backend = run
    example = built(k)
    with force_backend(backend):
        result = example.run()
    example.check_values(result)
    example.check_gradients(result)


@pytest.mark.parametrize(
    "k", [k for k, case in enumerate(CASES) if not can("aten", case)][::12], ids=lambda k: case_id(CASES[k])
)
def test_what_pytorch_lacks_runs_by_default(k):
    example = built(k)
    result = example.run()
    example.check_values(result)
    example.check_gradients(result)
