"""Second derivatives of PyTorch's kernels, and gradients from one output alone."""

import numpy as np
import pytest
import torch
from contract.cases import build
from oracle import Run

from gatewise.kernels import Result, Weights, backend, recurrence

BASE = {
    "T": 2, "B": 3, "I": 2, "H": 2, "dtype": torch.float64, "bias": True, "strides": "contiguous", "keep_c": True,
}  # fmt: skip


def example(cell, lengths, reverse, keep_c=True):
    """A case as (function of its leaves, leaves); one row has length 0 when ragged."""
    made = build(BASE | {"cell": cell, "lengths": "none", "reverse": reverse, "keep_c": keep_c}, seed=11)
    ragged = None if lengths is None else torch.tensor(lengths)
    names = list(made.leaves())

    def function(*leaves):
        given = dict.fromkeys(("x", "h0", "c0", *Weights._fields)) | dict(zip(names, leaves, strict=True))
        weights = Weights(*(given[name] for name in Weights._fields))
        result = recurrence(
            made.cell, given["x"], given["h0"], given["c0"], weights, ragged, reverse=reverse, keep_c=keep_c
        )
        return tuple(t for t in result if t is not None)

    return function, tuple(made.leaves().values())


@pytest.mark.parametrize("cell", ["lstm", "lstm_projected", "gru", "rnn_tanh"])
@pytest.mark.parametrize("lengths", [None, [2, 0, 1]])
def test_second_derivatives_of_aten_are_those_of_naive(cell, lengths):
    function, leaves = example(cell, lengths, reverse=False, keep_c=False)
    penalties = []
    for name in ("naive", "aten"):
        with backend(name):
            outputs = function(*leaves)
            total = sum((outputs[k] ** 2).sum() for k in (0, -1))
            first = torch.autograd.grad(total, leaves, create_graph=True)
            penalty = sum((g**2).sum() for g in first)
            penalties.append(torch.autograd.grad(penalty, leaves))
    for naive, aten in zip(*penalties, strict=True):
        torch.testing.assert_close(aten, naive, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["naive", "aten"])
@pytest.mark.parametrize("only", ["h_seq", "c_seq", "h_n", "c_n"])
def test_one_output_alone_has_the_oracle_gradients(name, only):
    case = BASE | {"cell": "lstm", "lengths": "with_zeros", "reverse": False, "T": 5, "B": 4}
    made = build(case, seed=3)
    with backend(name):
        result = made.run()
    cotangents = {
        field: c if field == only else np.zeros_like(c)
        for field, c in zip(Result._fields, made.cotangents[:4], strict=False)
    }
    leaves = made.leaves()
    got = torch.autograd.grad(
        getattr(result, only), list(leaves.values()), torch.from_numpy(cotangents[only]),
        allow_unused=True, materialize_grads=True,
    )  # fmt: skip
    made.check_named(dict(zip(leaves, got, strict=True)), Run(**cotangents, tape=made.expected.tape))
