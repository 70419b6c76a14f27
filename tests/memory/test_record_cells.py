"""Loops over cells: joined over time where each call continues the last, against the oracle's layer."""

import numpy as np
import pytest
import torch
from memory_cases import GATES
from oracle import run
from record_cases import assert_layer, params_of
from torch import nn

from gatewise import cells as gwc
from gatewise.errors import UsageError
from gatewise.memory import ledger, record

F64 = {"dtype": torch.float64}
KINDS = {
    "lstm": (nn.LSTMCell, {}),
    "gru": (nn.GRUCell, {}),
    "rnn_tanh": (nn.RNNCell, {}),
    "rnn_relu": (nn.RNNCell, {"nonlinearity": "relu"}),
    "gw lstm": (gwc.LSTMCell, {}),
    "gw gru": (gwc.GRUCell, {}),
    "gw rnn_tanh": (gwc.RNNCell, {}),
}


class Loop(nn.Module):
    """Runs a cell over x [T, B, I] or [T, I]."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, state=None):
        for x_t in x:
            state = self.cell(x_t, state)
        return state


def build(kind):
    cls, options = KINDS[kind]
    return Loop(cls(3, 4, **options, **F64))


def expected(loop, kind, x, state=None):
    name = kind.split()[-1]
    x = x if x.dim() == 3 else x[:, None]
    zeros = torch.zeros(x.shape[1], 4, **F64)
    h0, c0 = (zeros, zeros) if state is None else (state if name == "lstm" else (state, None))
    c0 = c0.numpy() if name == "lstm" else None
    made = run(name, x.numpy(), h0.detach().numpy(), c0, params_of(loop.cell, ""))
    gates = {g: np.stack([happened[g] for _, _, happened in made.tape.steps]) for g in GATES[name]}
    return (
        gates | {"h": made.h_seq, "h0": h0.numpy()} | ({"c": made.c_seq, "c0": c0} if c0 is not None else {})
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_is_one_trace_over_time(kind):
    loop, x = build(kind), torch.randn(6, 2, 3, **F64)
    with record(loop, pre=True) as trace:
        loop(x)
    assert len(trace["cell"]) == 1
    assert_layer(trace["cell"][0], expected(loop, kind, x), 1e-12)
    assert trace["cell"][0].pre


@pytest.mark.parametrize("kind", ["lstm", "gru", "gw lstm"])
def test_given_states_and_new_sequences_begin_new_traces(kind):
    loop, x = build(kind), torch.randn(6, 2, 3, **F64)
    h, c = torch.rand(2, 4, **F64), torch.rand(2, 4, **F64)
    state = (h, c) if "lstm" in kind else h
    with record(loop) as trace:
        loop(x, state)
        loop(x[:4])
        loop(x[:, :1])
    calls = trace["cell"].calls
    assert_layer(calls[0][0], expected(loop, kind, x, state), 1e-12)
    assert_layer(calls[1][0], expected(loop, kind, x[:4]), 1e-12)
    assert_layer(calls[2][0], expected(loop, kind, x[:, :1]), 1e-12)
    assert len(calls) == 3


def test_a_carried_state_continues_the_trace_even_as_a_detached_copy():
    loop, x = build("lstm"), torch.randn(6, 2, 3, **F64)
    with record(loop) as trace:
        h, c = loop(x[:2])
        loop(x[2:], (h.detach().clone(), c.detach().clone()))
    assert_layer(trace["cell"][0], expected(loop, "lstm", x), 1e-12)


def test_a_state_changed_in_place_begins_a_new_trace():
    loop, x = build("lstm"), torch.randn(6, 2, 3, **F64)
    with torch.no_grad(), record(loop) as trace:
        state = loop(x[:2])
        state[0][0].zero_()  # the first row is reset
        began = tuple(s.clone() for s in state)
        loop(x[2:], state)
    first, second = trace["cell"].calls
    assert_layer(first[0], expected(loop, "lstm", x[:2]), 1e-12)
    assert_layer(second[0], expected(loop, "lstm", x[2:], began), 1e-12)


@pytest.mark.parametrize("kind", ["lstm", "rnn_tanh", "gw gru"])
def test_unbatched_steps_are_a_batch_of_one(kind):
    loop, x = build(kind), torch.randn(6, 3, **F64)
    with record(loop) as trace:
        loop(x)
    assert_layer(trace["cell"][0], expected(loop, kind, x), 1e-12)


def test_the_cell_itself_may_be_the_model():
    loop, x = build("lstm"), torch.randn(6, 2, 3, **F64)
    with record(loop.cell) as trace:
        loop(x)
    assert ledger(trace[""][0]).residual <= 1e-12


def test_weights_that_change_inside_the_block_are_refused():
    loop = build("gru")
    with (
        pytest.raises(
            UsageError, match="cell: the cell's weights changed after its first of 3 recorded calls"
        ),
        record(loop),
    ):
        loop(torch.randn(3, 2, 3, **F64))
        with torch.no_grad():
            loop.cell.weight_hh.mul_(2)


def test_gradients_reach_the_inputs_of_a_loop():
    loop, x = build("lstm"), torch.randn(3, 2, 3, **F64, requires_grad=True)

    def forget_gates(x):
        with record(loop, grad=True) as trace:
            loop(x)
        return trace["cell"][0].f

    assert torch.autograd.gradcheck(forget_gates, x, atol=1e-8)
