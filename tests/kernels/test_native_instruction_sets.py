"""Every instruction set that runs here gives right values and gradients; the widest runs unless told otherwise."""

import subprocess
import sys

import pytest
from native_cases import cases, check, instruction_set, instruction_sets, make, native_only, run
from pairwise import case_id

from gatewise.kernels import native

CASES = cases(rounds=1)

pytestmark = native_only


@pytest.mark.parametrize("name", instruction_sets)
@pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: case_id(CASES[k]))
def test_values_and_gradients(name, k):
    made = make(seed=k, **CASES[k])
    with instruction_set(name):
        check(made, *run(made))


def test_the_portable_one_is_always_there():
    assert instruction_sets[-1] == "portable"
    assert set(instruction_sets) <= {"portable", "avx2", "avx512"}


def test_the_widest_runs_unless_told_otherwise():
    code = "from gatewise.kernels import native; print(native.isa())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == instruction_sets[0]


def test_one_that_does_not_run_here_is_not_taken():
    before = native.isa()
    assert not native._module().use("avx1024")
    assert native.isa() == before
