"""Which instruction set the native kernels run with."""

import subprocess
import sys

from native_cases import instruction_sets, native_only

from gatewise.kernels import native

pytestmark = native_only


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
