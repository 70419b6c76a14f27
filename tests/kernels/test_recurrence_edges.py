"""What nobody else defines: rows without steps, empty batches, half precision, huge biases."""

import numpy as np
import pytest
import torch
from compare import array
from contract.cases import build, runs
from contract.catalogue import CELLS

from gatewise.kernels import backend

RUNS = runs()
every_run = pytest.mark.parametrize(("name", "cell"), RUNS)
both_directions = pytest.mark.parametrize("reverse", [False, True])


def make(cell, **case):
    return build({"cell": cell, **case}, seed=1)


def outputs(result):
    return {name: t for name, t in result._asdict().items() if t is not None}


@every_run
@both_directions
@pytest.mark.parametrize("T", [0, 3])
def test_rows_of_no_steps_return_the_initial_state_with_its_gradient(name, cell, reverse, T):
    if T == 0 and name == "aten":
        name = "naive"
    made = make(cell, T=T, reverse=reverse)
    made.lengths = torch.zeros(4, dtype=torch.int64)
    with backend(name):
        result = made.run()
    assert not result.h_seq.any()
    assert torch.equal(result.h_n, made.h0)
    assert result.h_n.data_ptr() != made.h0.data_ptr(), (
        "writing into the final state would change the initial one"
    )
    (dh0,) = torch.autograd.grad(result.h_n, made.h0, torch.full_like(made.h0, 3.0), retain_graph=True)
    assert torch.equal(dh0, torch.full_like(made.h0, 3.0))
    if made.c0 is not None:
        assert torch.equal(result.c_n, made.c0)
        (dc0,) = torch.autograd.grad(result.c_n, made.c0, torch.full_like(made.c0, 2.0))
        assert torch.equal(dc0, torch.full_like(made.c0, 2.0))


@pytest.mark.parametrize("cell", CELLS)
@both_directions
@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
def test_empty_input_runs_by_default_and_every_output_has_a_gradient(cell, reverse, T, B):
    made = make(cell, T=T, B=B, reverse=reverse)
    result = made.run()
    made.check_values(result)
    for key, output in outputs(result).items():
        assert output.requires_grad, key
    sum(output.sum() for output in outputs(result).values()).backward()
    assert torch.equal(made.h0.grad, torch.ones_like(made.h0))


def test_a_sequence_without_steps_does_not_read_the_weights():
    made = make("lstm", T=0)
    made.weights = made.weights._replace(w_hh=torch.full_like(made.weights.w_hh, float("nan")))
    assert torch.equal(made.run().c_n, made.c0)


@every_run
def test_float16_runs_by_default(name, cell):
    made = make(cell, dtype=torch.float16)
    result = made.run()
    assert result.h_seq.dtype == torch.float16
    assert np.abs(array(result.h_seq) - made.expected.h_seq).max() < 16 * torch.finfo(torch.float16).eps


@every_run
def test_two_threads_agree_with_one(name, cell):
    made = make(cell, T=7, B=8, H=16, lengths="unsorted")
    torch.set_num_threads(2)
    with backend(name):
        result = made.run()
    made.check_values(result)
    made.check_gradients(result)


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_keeps_c_whatever_the_biases(reverse):
    """The padded call holds c still by saturated gates; no bias may outweigh them."""
    made = make("lstm", reverse=reverse, dtype=torch.float32, lengths="long")
    for bias in (made.weights.b_ih, made.weights.b_hh):
        with torch.no_grad():
            bias.mul_(1e6)
    with backend("naive"):
        expected = made.run()
    got = made.run()
    torch.testing.assert_close(got.c_n, expected.c_n)
    torch.testing.assert_close(got.h_seq, expected.h_seq)
