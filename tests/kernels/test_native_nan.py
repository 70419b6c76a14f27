"""Infinity and the smallest numbers: they stay where they belong, and the processor's settings are given back."""

import numpy as np
import pytest
import torch
from contract.conditions import threads
from contract.properties import spoil
from native_cases import CELLS, make, native_only, run

from gatewise.kernels import backend

FIXED = {"T": 8, "B": 5, "I": 4}
pytestmark = native_only


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_an_infinite_input_gives_what_it_gives_in_plain_pytorch(cell, reverse, value):
    made = make(cell=cell, reverse=reverse, lengths="unsorted", keep_c=True, **FIXED)
    place = torch.zeros(FIXED["T"], FIXED["B"], dtype=torch.bool)
    place[1, 1] = place[2, 3] = True
    spoil(made, place, value)
    (values, gradients), (naive_values, naive_gradients) = run(made), run(made, "naive")
    for name, tensor in values.items():
        torch.testing.assert_close(tensor, naive_values[name], equal_nan=True, rtol=1e-5, atol=1e-6)
    if cell != "rnn_relu":  # it hands the infinity on, and whether 0 * inf comes up is a matter of order
        for name in {"x", "h0", "c0"} & gradients.keys():
            torch.testing.assert_close(
                gradients[name], naive_gradients[name], equal_nan=True, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("which", ["h0", "c0"])
@pytest.mark.parametrize("cell", CELLS)
def test_an_infinite_state_stays_in_its_row(cell, which):
    made = make(cell=cell, lengths="unsorted", keep_c=True, **FIXED)
    if getattr(made, which) is None:
        return
    clean, clean_gradients = run(made)
    spoiled = getattr(made, which).detach().clone()
    spoiled[1, 0] = torch.inf
    setattr(made, which, spoiled.requires_grad_())
    values, gradients = run(made)
    others = [0, 2, 3, 4]
    for name in {"h_seq", "c_seq"} & values.keys():
        assert torch.equal(values[name][:, others], clean[name][:, others])
    assert torch.equal(values["h_n"][others], clean["h_n"][others])
    assert torch.equal(gradients["x"][:, others], clean_gradients["x"][:, others])
    if which == "c0":
        assert values["c_seq"][0, 1, 0] == torch.inf and values["h_seq"][0, 1].isfinite().all()


def denormals_live():
    """Whether this thread and PyTorch's others, and NumPy, have numbers below the smallest normal one."""
    torch_ones = torch.full((400_000,), 1e-38) * 0.01
    return bool((torch_ones > 0).all()) and bool(
        (np.full(64, 1e-38, np.float32) * np.float32(0.01) > 0).all()
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_processor_is_left_as_it_was(cell, count):
    with threads(count):
        assert denormals_live()
        run(make(cell=cell))
        assert denormals_live()
        assert torch.set_flush_denormal(True)
        try:
            run(make(cell=cell))
            assert float(torch.tensor([1e-38]) * 0.01) == 0
        finally:
            torch.set_flush_denormal(False)


def test_denormals_are_zero_inside():
    """(They cost a hundred times as much.)"""
    made = make(cell="rnn_relu", H=1, I=1, bias=False, T=1, B=4)
    made.x = torch.full((1, 4, 1), 1e-39, requires_grad=True)
    made.h0 = torch.zeros(4, 1, requires_grad=True)
    made.weights = made.weights._replace(w_ih=torch.ones(1, 1), w_hh=torch.zeros(1, 1))
    with backend("native"):
        assert not made.run().h_n.any()


@pytest.mark.parametrize("value", [2e-38, 1.5e-30, -3e-38])
def test_the_smallest_normal_numbers_come_through(value):
    made = make(cell="rnn_tanh", H=3, I=1, bias=False, T=5, B=2)
    made.x = torch.full((5, 2, 1), value, requires_grad=True)
    made.h0 = torch.zeros(2, 3, requires_grad=True)
    made.weights = made.weights._replace(w_ih=torch.ones(3, 1), w_hh=torch.zeros(3, 3))
    with backend("native"):
        h_seq = made.run().h_seq
    torch.testing.assert_close(h_seq, made.x.expand(5, 2, 3), rtol=1e-6, atol=0)
