"""Derivatives of every output with respect to every input, final states included, by PyTorch's own checker, to 1e-8."""

from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from contract.cases import build, can
from contract.catalogue import BACKENDS, CELLS, INSTRUCTION_SETS
from contract.conditions import instruction_set
from gatewise.kernels import backend as force

PLAIN_ONLY = {name for name, line in BACKENDS.items() if line.plain_only}
KINDS = [
    (backend, cell.name, variant)
    for backend in BACKENDS
    for cell in CELLS.values()
    if can(backend, cell.name)
    for variant in cell.variants
    if variant == "plain" or backend not in PLAIN_ONLY
]
SIZES = {"T": 3, "B": 2, "I": 1, "H": 2}
# (lengths, resets, reverse, keep_c); what a backend lacks is left out of its rounds.
ROUND = ("with_zeros", "few", True, True)
MORE = [("none", "none", False, True), ("unsorted", "many", False, False), ("all_equal", "few", True, False)]


def costly(backend, cell, variant):
    """What takes seconds and says little that the others do not: PyTorch differentiates the definition by itself."""
    return backend == "naive" and (
        variant == "norm_zoneout_drop_h" or (CELLS[cell].projected and variant != "plain")
    )


def kinds(rounds, *, thorough=False):
    return [
        pytest.param(*kind, how, marks=pytest.mark.thorough if thorough or costly(*kind) else ())
        for kind in KINDS
        for how in rounds
    ]


def function_of(made, backend):
    """All outputs, as a function of all leaves."""

    def function(x, h0, *rest):
        c0, weights = (None, rest) if made.c0 is None else (rest[0], rest[1:])
        with force(backend):
            result = replace(made, x=x, h0=h0, c0=c0, weights=made.weights.replaced(weights)).run()
        return tuple(t for t in result[:4] if t is not None)

    return function


def example(backend, cell, variant, how, **sizes):
    """(function of its leaves, leaves)"""
    lengths, resets, reverse, keep_c = how
    resets = "none" if backend in PLAIN_ONLY else resets
    case = SIZES | {
        "cell": cell,
        "variant": variant,
        "lengths": lengths,
        "resets": resets,
        "reverse": reverse,
    }
    made = build(case | {"keep_c": keep_c, "bias": reverse} | sizes, seed=3)
    return function_of(made, backend), tuple(made.leaves().values())


@pytest.mark.parametrize(
    ("backend", "cell", "variant", "how"),
    kinds([ROUND]) + kinds(MORE, thorough=True),
)
def test_every_input_and_every_output(backend, cell, variant, how):
    assert gradcheck(*example(backend, cell, variant, how), eps=1e-6, atol=1e-8, rtol=0)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("cell", CELLS)
def test_whole_vectors_of_every_instruction_set(cell, isa):
    with instruction_set(isa):
        function, leaves = example("native", cell, "plain", ROUND, T=2, B=1, I=1, H=9)
        assert gradcheck(function, leaves, eps=1e-6, atol=1e-8, rtol=0)


TWICE = ("plain", "coupled_peephole", "peephole_zoneout_drop_g")


def few_twice(backend, cell, variant):
    return variant == "plain" or (cell == "lstm" and variant in TWICE)


@pytest.mark.parametrize(
    ("backend", "cell", "variant"),
    [pytest.param(*kind, marks=() if few_twice(*kind) else pytest.mark.thorough) for kind in KINDS],
)
def test_second_derivatives(backend, cell, variant):
    function, leaves = example(backend, cell, variant, ROUND, T=2)
    torch.manual_seed(5)
    assert gradgradcheck(function, leaves, eps=1e-6, atol=1e-7 if variant == "plain" else 1e-6, rtol=0)
