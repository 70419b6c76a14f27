"""How many threads run a call is seen in no bit of outputs, states and input gradients; nor who else is calling."""

import subprocess
import sys
import threading

import pytest
import torch
from contract.cases import assert_equal_bits
from contract.catalogue import VARIANTS
from contract.conditions import instruction_set, threads
from native_cases import (
    CELLS,
    LSTMS,
    instruction_sets,
    make,
    native_only,
    run,
)
from pairwise import case_id, many

import gatewise as gw
from gatewise.kernels import native

# Small layers are divided by rows, large ones and those of few rows by units, if there are vectors enough for all;
# calls of less than half a million multiplications are not divided.
BY_ROWS = {"T": 24, "B": 9, "I": 5, "H": 48}
BY_UNITS = {"T": 32, "B": 1, "I": 3, "H": 130}
SIZES = [
    BY_ROWS,
    {"T": 16, "B": 2, "I": 3, "H": 130},
    {"T": 3, "B": 1, "I": 7, "H": 520},
    {"T": 3, "B": 3, "I": 2, "H": 514},
]
FACTORS = {
    "cell": CELLS,
    "variant": ["plain", "drop_h"],
    "size": range(len(SIZES)),
    "lengths": ["none", "unsorted"],
    "resets": ["none", "few"],
    "reverse": [False, True],
    "keep_c": [False, True],
    "dtype": [torch.float32, torch.float64],
}
IN_KERNEL = [name for name in VARIANTS if "drop_weights" not in name]  # weights are dropped before it
CASES = many(FACTORS, rounds=2) + many({**FACTORS, "cell": LSTMS, "variant": IN_KERNEL}, rounds=1)
OF_INPUTS = ("x", "h0", "c0")

pytestmark = native_only


def of_size(case):
    return {name: value for name, value in case.items() if name != "size"} | SIZES[case["size"]]


# The one in use on more cases than the others.
RUNS = [
    pytest.param(
        isa, k, id=f"{isa}-{case_id(case)}", marks=pytest.mark.thorough if k % (24 if n else 3) else ()
    )
    for n, isa in enumerate(instruction_sets)
    for k, case in enumerate(CASES)
]


@pytest.mark.parametrize(("isa", "k"), RUNS)
def test_any_number_gives_the_same_bits(isa, k):
    made = make(seed=k, **of_size(CASES[k]))
    expected = None
    for count in (1, 2, 3, 8):
        with threads(count), instruction_set(isa):
            values, gradients = run(made)
        seen = values | {f"d{name}": gradients[name] for name in OF_INPUTS if name in gradients}
        expected = expected or seen
        assert_equal_bits(seen, expected, f"on {count} threads")


@pytest.mark.parametrize("size", [BY_ROWS, BY_UNITS], ids=["by rows", "by units"])
@pytest.mark.parametrize("cell", CELLS)
def test_two_threads_give_the_same_bits_in_250_repeats(cell, size):
    made = make(cell=cell, lengths="unsorted", variant="drop_h", **size)
    with threads(2):
        expected = run(made)
        for _ in range(250):
            for got, wanted in zip(run(made), expected, strict=True):
                assert_equal_bits(got, wanted)


@pytest.mark.parametrize("kind", [gw.LSTM, gw.GRU, gw.RNN])
@pytest.mark.parametrize("team", [1, 2])
def test_eight_callers_at_once_get_the_bits_that_one_alone_gets(kind, team):
    layer = kind(5, 33, num_layers=2, bidirectional=True)
    inputs = [torch.randn(60, b, 5) for b in range(1, 9)]
    start = threading.Barrier(len(inputs))
    got: dict[int, list[dict[str, torch.Tensor]]] = {}

    def call(x):
        output, state = layer(x, lengths=torch.arange(x.shape[1]) + 3)
        states = state if isinstance(state, tuple) else (state,)
        leaves = dict(layer.named_parameters())
        gradients = torch.autograd.grad(
            output.square().sum() + sum(s.sum() for s in states), list(leaves.values())
        )
        return {"output": output} | dict(zip(leaves, gradients, strict=True))

    def caller(k):
        with threads(team):
            start.wait()
            got[k] = [call(inputs[k]) for _ in range(10)]

    callers = [threading.Thread(target=caller, args=(k,)) for k in range(len(inputs))]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    with threads(team):
        for k, x in enumerate(inputs):
            expected = call(x)
            for one in got[k]:
                assert_equal_bits(one, expected, f"of caller {k}")


@pytest.mark.parametrize("size", [BY_ROWS, BY_UNITS], ids=["by rows", "by units"])
@pytest.mark.parametrize("cell", CELLS)
def test_threads_of_our_own_give_the_same_bits(cell, size):
    """Where PyTorch's OpenMP is not found, threads are started for a call."""
    made = make(cell=cell, lengths="unsorted", **size)
    with threads(3):
        expected = run(made)
        native._module().use_openmp(0, 0, 0)
        try:
            got = run(made)
        finally:
            native._share_threads(native._module())
    for seen, wanted in zip(got, expected, strict=True):
        assert_equal_bits(seen, wanted)


# Two workers need 170 MB each, where 150 MB are left; once on OpenMP's threads and once on our own.
WITHOUT_MEMORY = """
import resource, torch, gatewise as gw
from gatewise.kernels import native
torch.set_num_threads(2)
torch.set_grad_enabled(False)
layer, B, known = gw.LSTM(4, 64), 400_000, torch.ones(9, 200, 4)
x, hx = torch.zeros(1, B, 4), (torch.zeros(1, B, 64), torch.zeros(1, B, 64))
before = resource.getrlimit(resource.RLIMIT_AS)
for own in (False, True):
    if own:
        native._module().use_openmp(0, 0, 0)
    expected = layer(known)[0]
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 3 * B * 64 * 4 + 150_000_000, before[1]))
    try:
        layer(x, hx)
    except MemoryError:
        print("no memory")
    resource.setrlimit(resource.RLIMIT_AS, before)
    print(torch.equal(layer(known)[0], expected))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_a_worker_without_memory_ends_the_call_and_not_the_process():
    told = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, timeout=240)
    assert told.stdout.split() == ["no", "memory", "True"] * 2, told.stderr
