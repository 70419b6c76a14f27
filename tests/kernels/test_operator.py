"""`torch.ops.gatewise.recurrence` keeps PyTorch's rules for operators: schema, fake tensors, autograd."""

import numpy as np
import pytest
import torch
from kernel_cases import build
from torch.library import opcheck

import gatewise.kernels as _defines_the_operator  # noqa: F401


def arguments(cell, lengths, reverse, keep, dtype):
    case = {
        "cell": cell, "dtype": dtype, "T": 4, "B": 3, "I": 2, "H": 3, "lengths": lengths,
        "reverse": reverse, "bias": True, "strides": "contiguous", "keep_c": keep,
    }  # fmt: skip
    made = build(case, seed=2)
    return (
        made.cell,
        "",
        made.x,
        made.h0,
        made.c0,
        made.weights.tensors(),
        made.lengths,
        None,
        None,
        reverse,
        keep,
    )


CELLS = ["lstm", "lstm_projected", "gru", "rnn_tanh", "rnn_relu"]
WORKSPACE = (
    "lstm",
    False,
    torch.float32,
)  # these return oneDNN's memory, whose bytes are partly uninitialised


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
@pytest.mark.parametrize(
    ("reverse", "keep", "dtype"), [(False, False, torch.float32), (True, True, torch.float64)]
)
def test_opcheck(cell, lengths, reverse, keep, dtype):
    given = arguments(cell, lengths, reverse, keep, dtype)
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    if (cell, keep, dtype) != WORKSPACE:
        tests.append("test_aot_dispatch_dynamic")
    opcheck(
        torch.ops.gatewise.recurrence.default,
        (*given, True, False, ""),
        test_utils=tests,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("lengths", ["none", "unsorted"])
def test_traced_with_a_workspace_equals_eager(lengths):
    cell, variant, x, h0, c0, weights, *rest = arguments("lstm", lengths, False, False, torch.float32)

    def function(x, h0, c0, *weights):
        out = torch.ops.gatewise.recurrence(cell, variant, x, h0, c0, list(weights), *rest, True, False, "")
        return out[0].square().sum() + out[2].sum() + (3 * out[3]).sum()

    leaves = (x, h0, c0, *weights)
    eager = function(*leaves)
    traced = torch.compile(function, backend="aot_eager", fullgraph=True)(*leaves)
    torch.testing.assert_close(traced, eager)
    for got, expected in zip(
        torch.autograd.grad(traced, leaves), torch.autograd.grad(eager, leaves), strict=True
    ):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_opcheck_without_gradients(cell):
    name, variant, *tensors, weights, lengths, resets, seed, reverse, keep = arguments(
        cell, "unsorted", False, True, torch.float32
    )
    x, h0, c0 = (None if t is None else t.detach() for t in tensors)
    plain = (name, variant, x, h0, c0, [w.detach() for w in weights], lengths, resets, seed, reverse, keep)
    opcheck(torch.ops.gatewise.recurrence.default, (*plain, False, False, ""))


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("lstm_projected", 4), ("gru", 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_reserve_holds_the_activated_gates(cell, gates, dtype, reverse):
    case = {
        "cell": cell, "dtype": dtype, "T": 5, "B": 3, "I": 2, "H": 4, "lengths": "with_zeros",
        "reverse": reverse, "bias": True, "strides": "contiguous", "keep_c": True,
    }  # fmt: skip
    made = build(case, seed=5)
    reserve = torch.ops.gatewise.recurrence(
        made.cell, "", made.x, made.h0, made.c0, made.weights.tensors(), made.lengths, None, None, reverse,
        True, True, False, "",
    )[4]  # fmt: skip
    assert reserve.shape == (5, 3, gates * 4)
    names = {"lstm": "ifgo", "gru": "rzn"}[made.cell]
    expected = torch.zeros(5, 3, gates * 4, dtype=torch.float64)
    for t, rows, happened in made.expected.tape.steps:
        expected[t, rows] = torch.from_numpy(np.concatenate([happened[k] for k in names], axis=-1))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(reserve.double(), expected, rtol=tolerance, atol=tolerance)
