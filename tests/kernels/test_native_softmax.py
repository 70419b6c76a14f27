"""Loss and gradient of rows of logits by the kernels, against 80 bits of precision."""

import numpy as np
import pytest
import torch
from contract.conditions import instruction_set
from native_cases import instruction_sets, native_only

from gatewise.errors import UsageError
from gatewise.kernels import backend, native
from gatewise.kernels.softmax import softmax_loss

pytestmark = native_only
LONG = np.longdouble


def exact(logits, bias, targets):
    """Loss of each row, and softmax less 1 at the target."""
    x = (logits + bias).numpy().astype(LONG)  # rounded as the kernels round it
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(x))
    losses = -np.log(p[rows, targets])
    p[rows, targets] -= 1
    return losses, p


def drawn(rows, columns, scale, dtype):
    g = torch.Generator().manual_seed(rows * columns)
    logits = torch.randn(rows, columns, generator=g, dtype=torch.float64) * scale
    bias = torch.randn(columns, generator=g, dtype=torch.float64)
    return logits.to(dtype), bias.to(dtype), torch.randint(columns, (rows,), generator=g)


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 2, 3, 15, 16, 17, 64, 65, 250, 10_007])
@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_values(columns, scale, dtype, isa):
    logits, bias, targets = drawn(6, columns, scale, dtype)
    losses, gradient = exact(logits, bias, targets)
    with instruction_set(isa):
        found = native.softmax_loss(logits, bias, targets)
    eps = torch.finfo(dtype).eps
    # What a logit is off by its own rounding, and a sum of as many numbers as there are columns.
    error = eps * (4 + 2 * max(1.0, scale) * 5 + np.sqrt(columns))
    np.testing.assert_allclose(found.numpy().astype(LONG), losses, rtol=error, atol=error)
    np.testing.assert_allclose(logits.numpy().astype(LONG), gradient, rtol=40 * error, atol=error / 100)
    assert np.abs(logits.numpy().astype(LONG) - gradient).max() <= error


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_written_out_row(dtype, isa):
    logits, bias = (
        torch.tensor([[0.0, 0.0, np.log(5)]], dtype=dtype),
        torch.tensor([0.0, np.log(2), 0.0], dtype=dtype),
    )
    with instruction_set(isa):
        loss = native.softmax_loss(logits, bias, torch.tensor([1]))
    torch.testing.assert_close(loss.double(), torch.tensor([np.log(4)]), rtol=3e-7, atol=0)
    torch.testing.assert_close(
        logits.double(), torch.tensor([[0.125, -0.75, 0.625]]).double(), rtol=3e-7, atol=0
    )


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [3, 70])
def test_far_apart_logits(columns, dtype, isa):
    logits = torch.full((5, columns), -2000.0, dtype=dtype)
    logits[0, 1] = 2000.0
    logits[1, 1] = -torch.inf
    logits[2, 1] = torch.nan
    logits[3, 1] = torch.inf
    logits[4] = 1e30
    with instruction_set(isa):
        losses = native.softmax_loss(
            logits, torch.zeros(columns, dtype=dtype), torch.zeros(5, dtype=torch.int64)
        )
    assert losses[0] == 4000 and logits[0].tolist() == [-1, 1] + [0] * (columns - 2)
    assert losses[1].item() == pytest.approx(np.log(columns - 1), rel=1e-6) and logits[1, 1] == 0
    assert losses[2:4].isnan().all() and logits[2:4].isnan().all()
    assert losses[4].item() == pytest.approx(np.log(columns), rel=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_a_bit(threads):
    logits, bias, targets = drawn(301, 333, 2.0, torch.float32)
    twin = logits.clone()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = native.softmax_loss(twin, bias, targets)
        torch.set_num_threads(threads)
        together = native.softmax_loss(logits, bias, targets)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together) and torch.equal(twin, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_definition_has_the_same_values(dtype):
    logits, bias, targets = drawn(40, 100, 3.0, dtype)
    twin = logits.clone()
    with backend("naive"):
        wanted = softmax_loss(twin, bias, targets)
    rtol = 60 * torch.finfo(dtype).eps
    torch.testing.assert_close(softmax_loss(logits, bias, targets), wanted, rtol=rtol, atol=rtol)
    torch.testing.assert_close(logits, twin, rtol=rtol, atol=rtol / 10)


def test_numbers_that_stand_negated_in_memory():
    logits, bias, targets = drawn(4, 20, 1.0, torch.float64)
    twins = logits.clone(), logits._neg_view()
    wanted = native.softmax_loss(twins[0], -bias, targets)
    assert torch.equal(softmax_loss(logits.clone(), bias._neg_view(), targets), wanted)
    with backend("naive"):
        wanted = softmax_loss(-logits, bias, targets)
    torch.testing.assert_close(softmax_loss(twins[1], bias, targets), wanted, rtol=1e-13, atol=1e-13)


def test_no_rows():
    assert softmax_loss(torch.empty(0, 5), torch.zeros(5), torch.empty(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (torch.tensor([0, 5]), "targets are from 0 to 5; with 5 logits a row they are 0 to 4"),
        (torch.tensor([-1, 2]), "targets are from -1 to 2"),
        (torch.tensor([1]), r"torch.int64 \(1,\) on cpu; here they must be torch.int64 \(2,\)"),
        (torch.tensor([1, 2], dtype=torch.int32), "targets are torch.int32"),
    ],
)
def test_what_would_write_elsewhere_is_refused(targets, words):
    with pytest.raises(UsageError, match=words):
        softmax_loss(torch.zeros(2, 5), torch.zeros(5), targets)
