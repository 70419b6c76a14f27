"""`forget_bias=` and `chrono=`: where they go, their ranges, and the time constants that follow."""

import math

import pytest
import torch

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.layers.initialisers import rnn_identity


def biases(layer):
    """(bias_ih, bias_hh) of every layer and direction."""
    named = dict(layer.named_parameters())
    return [(v, named[k.replace("bias_ih", "bias_hh")]) for k, v in named.items() if k.startswith("bias_ih")]


def test_forget_bias_goes_into_bias_ih_and_clears_bias_hh():
    torch.manual_seed(0)
    plain = gw.LSTM(3, 5, num_layers=2, bidirectional=True)
    torch.manual_seed(0)
    layer = gw.LSTM(3, 5, num_layers=2, bidirectional=True, forget_bias=2.5)
    assert len(biases(layer)) == 4
    for (b_ih, b_hh), (p_ih, p_hh) in zip(biases(layer), biases(plain), strict=True):
        assert torch.equal(b_ih[5:10], torch.full((5,), 2.5))
        assert torch.equal(b_hh[5:10], torch.zeros(5))
        rest = [0, 1, 2, 3, 4, *range(10, 20)]
        assert torch.equal(b_ih[rest], p_ih[rest]) and torch.equal(b_hh[rest], p_hh[rest])


@pytest.mark.parametrize(("bias", "tau"), [(0, 1.4), (1, 3.2), (2, 7.9), (3, 20.6), (5, 149)])
def test_a_forget_bias_sets_how_long_a_cell_remembers(bias, tau):
    layer = gw.LSTM(1, 1, forget_bias=bias, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.zero_(), layer.weight_hh_l0.zero_()
        layer.bias_ih_l0[0] = -100  # nothing is written
    c0 = torch.ones(1, 1, 1, dtype=torch.float64)
    x = torch.zeros(10, 1, 1, dtype=torch.float64)
    _, (_, c_n) = layer(x, (torch.zeros_like(c0), c0))
    measured = -10 / math.log(c_n.item())
    assert measured == pytest.approx(-1 / math.log(1 / (1 + math.exp(-bias))), rel=1e-9)
    assert measured == pytest.approx(tau, rel=0.04)


@pytest.mark.parametrize("horizon", [3, 20, 1000])
def test_chrono_of_an_lstm(horizon):
    H = 500
    layer = gw.LSTM(2, H, num_layers=2, bidirectional=True, chrono=horizon)
    for b_ih, b_hh in biases(layer):
        b_i, b_f = b_ih[:H], b_ih[H : 2 * H]
        assert torch.equal(b_i, -b_f)
        assert not b_hh[: 2 * H].any()
        steps = b_f.double().exp()  # ~ U[1, horizon - 1]
        low, high = 1.0, horizon - 1.0
        assert steps.min() >= low - 1e-5 and steps.max() <= high * (1 + 1e-5)
        width = high - low
        # the mean and the spread of a uniform draw, at six standard errors
        assert abs(steps.mean() - (low + high) / 2) < 6 * width / math.sqrt(12 * H)
        assert steps.min() < low + 0.05 * width and steps.max() > high - 0.05 * width
        bound = 1 / math.sqrt(H)
        assert b_ih[2 * H :].abs().max() <= bound and b_hh[2 * H :].abs().max() <= bound
        assert b_ih[2 * H :].any() and b_hh[2 * H :].any()
    drawn = [b[H : 2 * H] for b, _ in biases(layer)]
    assert not torch.equal(drawn[0], drawn[1])


def test_chrono_of_a_gru_sets_what_keeps():
    H = 300
    for b_ih, b_hh in biases(gw.GRU(2, H, num_layers=2, chrono=50)):
        steps = b_ih[H : 2 * H].double().exp()
        assert steps.min() >= 1 - 1e-5 and steps.max() <= 49 * (1 + 1e-5)
        assert steps.min() < 3.5 and steps.max() > 46.5
        assert not b_hh[H : 2 * H].any()


def test_chrono_lets_memory_live_for_the_horizon():
    torch.manual_seed(1)
    kept = {}
    for name, options in {"plain": {}, "chrono": {"chrono": 200}}.items():
        layer = gw.LSTM(1, 64, **options)
        c0 = torch.ones(1, 1, 64)
        with torch.no_grad():
            from_one = layer(torch.zeros(50, 1, 1), (torch.zeros(1, 1, 64), c0))[1][1]
            from_zero = layer(torch.zeros(50, 1, 1), (torch.zeros(1, 1, 64), torch.zeros(1, 1, 64)))[1][1]
        kept[name] = (from_one - from_zero).abs().median().item()
    assert kept["plain"] < 1e-6 < 0.3 < kept["chrono"]


def test_reset_parameters_draws_them_again():
    layer = gw.LSTM(3, 5, forget_bias=3.0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(9.0)
    layer.reset_parameters()
    assert torch.equal(layer.bias_ih_l0[5:10], torch.full((5,), 3.0))
    assert layer.weight_hh_l0.abs().max() <= 1 / math.sqrt(5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gw.LSTM(3, 5, forget_bias=1.0, chrono=10), r"forget_bias=1.0 and chrono=10 both set"),
        (lambda: gw.LSTM(3, 5, forget_bias=0.0, chrono=10), r"forget_bias=0.0 and chrono=10 both set"),
        (lambda: gw.LSTM(3, 5, bias=False, forget_bias=1.0), r"bias=False"),
        (lambda: gw.LSTM(3, 5, bias=False, chrono=10), r"bias=False"),
        (lambda: gw.GRU(3, 5, bias=False, chrono=10), r"bias=False"),
        (lambda: gw.LSTM(3, 5, chrono=1), r"chrono=1"),
        (lambda: gw.GRU(3, 5, chrono=0), r"chrono=0"),
    ],
)
def test_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_the_identity_start_copies_what_is_above_zero():
    layer = gw.RNN(3, 5, nonlinearity="relu", dtype=torch.float64)
    inputs = layer.weight_ih_l0.clone()
    rnn_identity(layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    assert torch.equal(layer.weight_ih_l0, inputs)
    h0 = torch.tensor([[[0.0, 0.5, 1.0, 2.0, 3.0]]], dtype=torch.float64, requires_grad=True)
    output, h_n = layer(torch.zeros(200, 1, 3, dtype=torch.float64), h0)
    assert torch.equal(output, h0.detach().expand(200, 1, 5))
    (gradient,) = torch.autograd.grad(h_n.sum(), h0)
    assert torch.equal(gradient[0, 0, 1:], torch.ones(4, dtype=torch.float64))
