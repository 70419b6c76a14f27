"""How far back a memory reaches, against layers whose reach is known by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_cases import oracle_trace
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.memory import effective_length, gate_length, gradient_flow, gradient_length, truncation_length

F64 = {"dtype": torch.float64}
BIASES = {0: 1.4, 1: 3.2, 2: 7.9, 3: 20.6, 5: 149}  # forget bias: time constant, MATHS figures


def constant_gates(bias, units=3, kind=nn.LSTM):
    """A layer whose gates ignore x and h: the forget gate is σ(bias), and c is written by x through g alone."""
    lstm = kind(2, units, **F64)
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.bias_ih_l0[units : 2 * units] = torch.as_tensor(bias, **F64)
        lstm.weight_ih_l0[2 * units : 3 * units] = 0.1
    return lstm


def last_sum(result):
    return result[0][-1].sum(-1)  # [B]


@pytest.mark.parametrize(("bias", "tau"), BIASES.items())
@pytest.mark.parametrize("share", [math.exp(-1), 0.5, 0.01])
def test_gates_a_forget_bias_sets_the_length(bias, tau, share):
    found = effective_length(constant_gates(bias), torch.randn(9, 2, 2, **F64), share=share)
    keep = 1 / (1 + math.exp(-bias))
    assert found.steps == pytest.approx(math.log(share) / math.log(keep), rel=1e-12)
    assert found.steps / -math.log(share) == pytest.approx(tau, abs=0.05 if tau < 100 else 0.5)  # rounded
    np.testing.assert_allclose(found.units, found.steps, rtol=1e-12)
    np.testing.assert_allclose(found.curve, keep ** np.arange(10), rtol=1e-12)


def test_gates_a_layer_of_two_kinds_of_units():
    # With τ and 2τ the mean of what is left is (u² + u)/2, u = exp(-k/2τ).
    f = torch.tensor([math.exp(-1 / 4), math.exp(-1 / 8)], **F64)
    lt = replace(oracle_trace("lstm", H=2), lengths=None)
    lt = replace(lt, gates=lt.gates | {"f": f.expand_as(lt.f)})
    found = gate_length(lt, 0.3)
    u = (-1 + math.sqrt(1 + 8 * 0.3)) / 2
    assert found.steps == pytest.approx(-8 * math.log(u), rel=1e-12)
    np.testing.assert_allclose(found.units, [-4 * math.log(0.3), -8 * math.log(0.3)], rtol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before"])
def test_gates_a_gru_keeps_by_z(cell):
    lt = oracle_trace(cell)
    tau = -1 / np.log(lt.z.numpy()).mean((0, 1))
    np.testing.assert_allclose(gate_length(lt).units, tau, rtol=1e-12)


def test_gates_of_a_coupled_lstm():
    layer = gw.LSTM(3, 4, coupled=True)
    x = torch.randn(12, 2, 3)
    found = effective_length(layer, x)
    with gw.record(layer) as trace:
        layer(x)
    tau = -1 / np.log(trace[""][0].f.double().numpy()).mean((0, 1))
    np.testing.assert_allclose(found.units, tau, rtol=1e-5)


def test_gates_that_never_close_and_gates_that_shut():
    lt = oracle_trace("lstm", H=2)
    open_and_shut = torch.tensor([1.0, 0.0], **F64).expand_as(lt.f)
    found = gate_length(replace(lt, gates=lt.gates | {"f": open_and_shut}), 0.4)
    assert found.steps == math.inf and found.units.tolist() == [math.inf, 0.0]
    assert "never falls below 0.4" in found.sentence
    assert gate_length(replace(lt, gates=lt.gates | {"f": open_and_shut}), 0.6).steps == 0
    np.testing.assert_allclose(found.curve, [1] + [0.5] * 7)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("bias", [0, 2, 5])
def test_gradient_of_constant_gates_is_a_geometric_series(bias, share):
    # Nothing but f leads from one step to the next, and o⊙(1 - tanh²c) at the last step is common to all lags.
    T, keep = 30, 1 / (1 + math.exp(-bias))
    found = effective_length(
        constant_gates(bias), torch.randn(T, 1, 2, **F64), last_sum, "gradient", share=share
    )
    held = (1 - keep ** np.arange(1, T + 1)) / (1 - keep**T)
    np.testing.assert_allclose(found.curve, held, rtol=1e-10)
    assert found.steps == 1 + int((held < share).sum())
    assert 1 <= found.steps <= T


def test_gradient_by_what_a_row_of_its_length_has():
    layer, x = gw.LSTM(2, 3, **F64), torch.randn(6, 2, 2, **F64)
    flow = gradient_flow(layer, {"x": x, "lengths": torch.tensor([4, 2])}, lambda r: r[1][0].sum())[""][0]
    found = gradient_length(flow, 0.8, "highway")
    sizes = flow.highway.norm(dim=-1).numpy()
    profile = np.array(
        [sizes[3, 0] + sizes[1, 1], sizes[2, 0] + sizes[0, 1], 2 * sizes[1, 0], 2 * sizes[0, 0]]
    )
    np.testing.assert_allclose(found.curve, profile.cumsum() / profile.sum(), rtol=1e-12)


class DelayLine(nn.Module):
    """Its h holds the last H inputs and nothing else: `h_t = (x_t, x_{t-1}, …)`; the answer is their sum."""

    def __init__(self, H, batch_first=False):
        super().__init__()
        self.rnn = nn.RNN(1, H, nonlinearity="relu", bias=False, batch_first=batch_first, **F64)
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(torch.ones(H - 1).diag(-1))
            self.rnn.weight_ih_l0.copy_(torch.eye(H)[:, :1])

    def forward(self, x, scale=1.0):
        output = self.rnn(x)[0]
        return scale * (output[:, -1] if self.rnn.batch_first else output[-1]).sum(-1, keepdim=True)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("H", "length"), [(1, 1), (4, 4), (5, 8), (16, 16), (17, 20)])
def test_truncation_finds_the_length_of_a_delay_line(H, length, batch_first):
    x = 1 + torch.rand(20, 3, 1, **F64)
    found = effective_length(
        DelayLine(H, batch_first), x.transpose(0, 1) if batch_first else x, 0, "truncation", tolerance=1e-9
    )
    assert found.lags.tolist() == [1, 2, 4, 8, 16, 20]
    assert found.steps == length and found.rows.tolist() == [length] * 3
    missing = [float(x[20 - H : 20 - k].sum(0).max()) if k < H else 0.0 for k in found.lags.tolist()]
    np.testing.assert_allclose(found.curve, missing, atol=1e-12)


def test_truncation_of_every_k_and_by_row():
    # Row 0 has its last input that counts 3 steps back, row 1 none at all.
    x = torch.zeros(9, 2, 1, **F64)
    x[6, 0], x[0, 1] = 2.0, 5.0
    model = DelayLine(5)
    found = truncation_length(lambda k: model(x[-k:])[:, 0], 9, tolerance=0.5, counts=range(1, 10))
    assert found.rows.tolist() == [3, 1] and found.steps == 3
    assert found.curve.tolist() == [2.0, 2.0, 0, 0, 0, 0, 0, 0, 0]
    # 1 % of the largest full answer, 2, by default.
    assert truncation_length(lambda k: model(x[-k:])[:, 0], 9).level == pytest.approx(0.02)


def test_truncation_counts_from_the_last_k_that_is_beyond():
    answers = {1: 3.0, 2: 9.0, 4: 3.0, 5: 3.0}  # right by chance at 1, wrong at 2
    found = truncation_length(lambda k: torch.tensor([answers[k]]), 5, tolerance=0.1)
    assert found.steps == 4


def test_truncation_with_a_cut_of_ones_own():
    model = DelayLine(3)
    x = torch.rand(10, 2, 1, **F64)
    inputs = (x, torch.tensor(2.0, **F64))
    with pytest.raises(UsageError, match=r"tensors \(10, 2, 1\), \(\); to feed the last k of 10 steps"):
        effective_length(model, inputs, 0, "truncation")
    found = effective_length(model, inputs, 0, "truncation", cut=lambda given, k: (given[0][-k:], given[1]))
    assert found.steps == 4


def test_the_three_ways_of_one_layer_that_forgets_fast_and_of_one_that_keeps():
    x = torch.randn(64, 4, 2, **F64)
    lengths = {
        bias: [
            effective_length(constant_gates(bias), x, last_sum, by).steps
            for by in ("gates", "gradient", "truncation")
        ]
        for bias in (0, 3)
    }
    assert all(fast < slow for fast, slow in zip(lengths[0], lengths[3], strict=True))


def test_the_model_is_left_in_its_mode_and_a_lower_layer_can_be_asked():
    model = gw.LSTM(2, 3, 2, dropout=0.5, **F64)
    x = torch.randn(6, 2, 2, **F64)
    found = effective_length(model, x, last_sum, "gradient", layer=0)
    assert found.where == "the model, layer 0" and model.training
    assert effective_length(model, x).where == "the model, layer 1"
    assert (
        found.sentence == f"the model, layer 0: the last {found.steps:g} of 6 steps hold 90% of the gradient."
    )


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, 2)

    def forward(self, x):
        return self.rnn(self.rnn(x)[0])[0][-1]


X = torch.zeros(5, 2, 2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: effective_length(nn.RNN(2, 3), X), "a plain RNN .rnn_tanh. has no gate that keeps"),
        (lambda: effective_length(nn.GRU(2, 3), X, by="held"), "by is 'held'; it can be 'gates', 'gradient', 'trunc"),
        (lambda: effective_length(nn.GRU(2, 3), X, by="gradient"), "the length by gradient is of an answer"),
        (lambda: effective_length(nn.GRU(2, 3), X, share=1.0), "share is 1.0; it must lie above 0 and below 1"),
        (lambda: effective_length(nn.GRU(2, 3), X, at="lstm"), "there is no recurrent layer at 'lstm'; there are ''"),
        (lambda: effective_length(nn.GRUCell(2, 3), X[0]), "GRUCell that is called step by step"),
        (lambda: effective_length(Twice(), X), "rnn was called 2 times"),
        (lambda: effective_length(gw.GRU(2, 3), X[:0]), "3 of 3 units have no time constant"),
        (lambda: effective_length(nn.GRU(2, 3), X * math.nan), "3 of 3 units have no time constant.*holds NaN"),
        (
            lambda: effective_length(nn.GRU(2, 3), X, lambda r: 0 * last_sum(r), "gradient"),
            "the gradient is 0 at all 5 steps",
        ),
        (
            lambda: effective_length(nn.GRU(2, 3), X, lambda r: math.inf * last_sum(r), "gradient"),
            "the gradient at lag 0 is",
        ),
        (
            lambda: effective_length(nn.GRU(2, 3), X, lambda r: math.nan * last_sum(r), "truncation"),
            "the answer of row 0 to the last 1 steps is nan",
        ),
        (
            lambda: effective_length(nn.GRU(2, 3), X, last_sum, "truncation", tolerance=-1.0),
            "tolerance is -1.0; it must be a number of at least 0",
        ),
        (lambda: truncation_length(lambda k: torch.zeros(1), 0), "there are 0 steps"),
        (lambda: truncation_length(lambda k: torch.zeros(1), 5, counts=[7]), "counts holds 7; with 5 steps"),
        (lambda: truncation_length(lambda k: torch.zeros(1, 1), 5), r"has shape \(1, 1\); it must be \[B\]"),
        (lambda: truncation_length(lambda k: torch.zeros(k), 2), r"shapes \(1,\) and \(2,\)"),
    ],
)  # fmt: skip
def test_refused_in_one_sentence(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()
