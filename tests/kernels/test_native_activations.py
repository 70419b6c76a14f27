"""sigmoid and tanh of the kernels, read out of cells that are little else, against 80 bits of precision."""

import numpy as np
import pytest
import torch
from contract.conditions import instruction_set
from native_cases import instruction_sets, native_only

from gatewise.kernels import Weights, backend, recurrence

RANGES = [(-0.001, 0.001), (-0.1, 0.1), (-1, 1), (-4, 4), (2, 9), (-9, -2), (-100, 100)]
LONG = np.longdouble

pytestmark = native_only


def activated(name, x):
    """tanh or sigmoid of x [n] by the native kernels: h of a plain RNN; z of a GRU whose n is 0 and whose h was 1."""
    one, zero = torch.ones(1, 1, dtype=x.dtype), torch.zeros(1, 1, dtype=x.dtype)
    if name == "tanh":
        cell, weights, h0 = "rnn_tanh", Weights(one, zero), zero
    else:
        cell, weights, h0 = "gru", Weights(torch.cat([zero, one, zero]), zero.expand(3, 1)), one
    with backend("native"):
        return recurrence(cell, x[None, :, None], h0.expand(len(x), 1), None, weights).h_n[:, 0]


def exact(name, x):
    x = x.numpy().astype(LONG)
    return np.tanh(x) if name == "tanh" else 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("span", RANGES, ids=str)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_errors(name, span, dtype, isa):
    x = torch.linspace(span[0], span[1], 20_001, dtype=dtype)
    with instruction_set(isa):
        got = activated(name, x).numpy()
    expected, kind = exact(name, x), np.finfo(got.dtype)
    error = np.abs(got.astype(LONG) - expected)
    assert error.max() < 2 * kind.eps
    normal = np.abs(expected) > 4 * kind.tiny  # a sigmoid ends there
    units = error[normal] / np.spacing(np.abs(expected[normal]).astype(got.dtype)).astype(LONG)
    if name == "tanh":
        assert units.max() < 5 and np.sqrt(np.mean(units**2)) < 1.25
    else:
        assert (units < 2 * (1 + np.abs(x.numpy()[normal]))).all()


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_limits(dtype, isa):
    x = torch.tensor([-1e30, -0.0, 0.0, 1e30, torch.nan, -torch.inf, torch.inf], dtype=dtype)
    with instruction_set(isa):
        tanh, sigmoid = activated("tanh", x), activated("sigmoid", x[:5])
    assert tanh[:4].tolist() == [-1, 0, 0, 1] and tanh[4].isnan() and tanh[5:].tolist() == [-1, 1]
    assert sigmoid[1:4].tolist() == [0.5, 0.5, 1] and sigmoid[4].isnan()
    assert 0 <= sigmoid[0] < 1e-37


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_tanh_is_beyond_one(dtype, isa):
    with instruction_set(isa):
        assert activated("tanh", torch.linspace(-25, 25, 50_001, dtype=dtype)).abs().max() == 1
