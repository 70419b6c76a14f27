"""Push by variable against autograd through the write, with the state before it and its worth held fixed."""

import math

import pytest
import torch
from memory_cases import TOLERANCE, oracle_run, oracle_trace
from torch import nn

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import push, push_by_variable, push_ledger, readout, record

F64 = {"dtype": torch.float64}
RAGGED = [7, 3, 0, 5]
KINDS = [("lstm", 0), ("lstm", 3), ("gru", 0), ("gru_reset_before", 0)]


def case(cell, **options):
    """A trace of the oracle's run with its input [T, B, 3] and input weights."""
    x, _, _, params, _, _ = oracle_run(cell, **options)
    return oracle_trace(cell, **options), torch.tensor(x), torch.tensor(params.w_ih)


def by_autograd(lt, weights, v, x, w_ih):
    """x ∂/∂x of Σ_t q_t⊙m_t, the memory m built from writes that are functions of their step's x alone.

    The gates that keep and read, and the GRU's r, are constants; q_t = a_t v o_t tanh(c_t)/c_t (GRU: a_t v).
    """
    x = torch.where(lt.valid()[..., None], x, 0.0).requires_grad_()
    moved = (x - x.detach()) @ w_ih.T  # zero, with the slope W
    parts = dict(zip(lt.gates, moved.chunk(len(lt.gates), -1), strict=True))
    reading = weights * v
    if lt.cell == "lstm":
        i, g = torch.sigmoid(lt.i.logit() + parts["i"]), torch.tanh(lt.g.atanh() + parts["g"])
        keep, written = lt.f, i * g
        reading = (reading if lt.w_hr is None else reading @ lt.w_hr) * lt.o * lt.c.tanh() / lt.c
    else:
        z, n = torch.sigmoid(lt.z.logit() + parts["z"]), torch.tanh(lt.n.atanh() + parts["n"])
        keep, written = lt.z, (1 - z) * n
    answer = torch.zeros((), **F64)
    for b, length in enumerate(lt.full_lengths().tolist()):
        memory = torch.zeros(keep.shape[2], **F64)
        for t in reversed(range(length)) if lt.reverse else range(length):
            memory = keep[t, b] * memory + written[t, b]
            answer = answer + (reading[t, b] * memory).sum()
    return (torch.autograd.grad(answer, x)[0] * x).detach()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, RAGGED])
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_gradient_times_input_of_what_is_written(cell, projection, lengths, reverse):
    lt, x, w_ih = case(cell, projection=projection, lengths=lengths, reverse=reverse)
    weights, v = torch.randn(lt.h.shape, **F64), torch.randn(lt.h.shape[2], **F64)
    got = push_by_variable(lt, weights, v, x, w_ih)
    assert got.push.shape == x.shape
    torch.testing.assert_close(got.push, by_autograd(lt, weights, v, x, w_ih), atol=1e-12, rtol=1e-9)
    whole = push(lt, weights, v)
    assert got.residual == pytest.approx(float((whole - got.push.sum(-1)).abs().max()), rel=1e-9)


def test_an_example_by_hand():
    lstm = nn.LSTM(2, 1, bias=False, **F64)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.tensor([[0.5, 0.0], [0.0, 0.0], [0.1, 0.3], [0.0, 0.0]], **F64))
    x = torch.tensor([[[2.0, -1.0]]], **F64)
    with record(lstm) as trace:
        lstm(x)
    lt, v = trace[""][0], torch.tensor([4.0], **F64)
    i, g, o = 1 / (1 + math.exp(-1.0)), math.tanh(0.2 - 0.3), 0.5
    worth = 4 * o * math.tanh(i * g) / (i * g)  # c = i·g
    first = worth * (i * (1 - i) * g * 0.5 + i * (1 - g * g) * 0.1) * 2
    second = worth * i * (1 - g * g) * 0.3 * -1
    got = push_by_variable(lt, None, v, x, lstm.weight_ih_l0.detach())
    assert got.push.flatten().tolist() == pytest.approx([first, second], rel=1e-12)
    assert got.residual == pytest.approx(abs(worth * i * g - first - second), rel=1e-9)


def test_a_write_that_is_linear_in_x_leaves_nothing():
    # i is 1 whatever x is, g is so small that it is its own pre-activation, and no state comes in.
    lstm = nn.LSTM(3, 2, **F64)
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.bias_ih_l0[:2] = 40.0
        lstm.weight_ih_l0[4:6] = 1e-4 * torch.randn(2, 3, **F64)
    x = torch.randn(6, 4, 3, **F64)
    with record(lstm) as trace:
        lstm(x)
    lt, v = trace[""][0], torch.randn(2, **F64)
    got = push_by_variable(lt, None, v, x, lstm.weight_ih_l0.detach())
    scale = float(push(lt, None, v).abs().max())
    assert scale > 1e-6
    assert got.residual <= 1e-6 * scale


def test_it_takes_what_a_readout_gives():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = gwl.GRU(3, 5, 2, bidirectional=True, **F64)
            self.head = nn.Linear(10, 2, **F64)

        def forward(self, x, lengths):
            return self.head(self.rnn(x, lengths=lengths)[0].sum(0))

    found = readout(Net(), (torch.randn(7, 4, 3, **F64), RAGGED), 1)
    ones = torch.ones(5, **F64)
    for key, weights in found.weights.items():
        lt = found.traces[key]
        got = push_by_variable(lt, weights, ones, found.x, found.w_ih[key])
        assert got.push.shape == (7, 4, 10)
        expected = by_autograd(lt, weights, ones, found.x, found.w_ih[key])
        torch.testing.assert_close(got.push, expected, atol=1e-12, rtol=1e-9)


def test_what_stands_beyond_a_length_is_not_looked_at():
    lt, x, w_ih = case("lstm", lengths=RAGGED)
    v = torch.randn(5, **F64)
    expected = push_by_variable(lt, None, v, x, w_ih)
    got = push_by_variable(lt, None, v, x.masked_fill(~lt.valid()[..., None], torch.nan), w_ih)
    assert torch.equal(got.push, expected.push) and got.residual == expected.residual
    for b, n in enumerate(RAGGED):
        assert not got.push[n:, b].any()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_it_comes_in_the_traces_dtype(dtype):
    lt, x, w_ih = case("gru")
    v = torch.randn(5, **F64)
    expected = push_by_variable(lt, None, v, x, w_ih).push
    got = push_by_variable(oracle_trace("gru", dtype), None, v.to(dtype), x.to(dtype), w_ih.to(dtype)).push
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected, atol=TOLERANCE[dtype], rtol=0)


def test_no_steps():
    lt, x, w_ih = case("lstm", T=0)
    got = push_by_variable(lt, None, torch.ones(5), x, w_ih)
    assert got.push.shape == (0, 4, 3) and got.residual == 0


def test_push_ledger_and_push_by_variable_share_their_worth():
    lt, x, w_ih = case("lstm", lengths=RAGGED, reverse=True)
    v = torch.randn(4, 5, **F64)  # one direction for each row
    whole = push_ledger(lt, None, v).push
    got = push_by_variable(lt, None, v, x, w_ih)
    assert got.residual == pytest.approx(float((whole - got.push.sum(-1)).abs().max()), rel=1e-9)


def test_what_does_not_fit_is_refused_with_the_numbers():
    lt, x, w_ih = case("lstm")
    v = torch.ones(5)
    with pytest.raises(
        UsageError, match=r"x has shape \(4, 7, 3\) and w_ih \(20, 3\); they take \[7, 4, F\] and \[20, F\]"
    ):
        push_by_variable(lt, None, v, x.transpose(0, 1), w_ih)
    with pytest.raises(UsageError, match=r"w_ih \(15, 3\); they take \[7, 4, F\] and \[20, F\]"):
        push_by_variable(lt, None, v, x, w_ih[:15])
    with pytest.raises(UsageError, match=r"x has shape \(7, 4, 2\) and w_ih \(20, 3\)"):
        push_by_variable(lt, None, v, x[..., :2], w_ih)
    with pytest.raises(UsageError, match=r"direction has shape \(4,\); it takes \[5\] or \[4, 5\]"):
        push_by_variable(lt, None, v[:4], x, w_ih)
    lt, x, w_ih = case("rnn_tanh")
    with pytest.raises(UsageError, match="rnn_tanh"):
        push_by_variable(lt, None, v, x, w_ih)
