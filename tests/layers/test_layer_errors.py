"""What a layer refuses: sizes, states and options, each in one sentence with the numbers."""

import subprocess
import sys

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise as gw
from gatewise.errors import UsageError

x = torch.randn(5, 3, 10)

CALLS = [
    (
        lambda: gw.LSTM(10, 4)(torch.randn(5, 3, 11)),
        r"x has 11 features; this layer was built with input_size=10",
    ),
    (
        lambda: gw.LSTM(10, 4)(torch.randn(5, 11)),
        r"x has 11 features; this layer was built with input_size=10",
    ),
    (
        lambda: gw.GRU(10, 4)(pack_padded_sequence(torch.randn(5, 2, 11), torch.tensor([5, 2]))),
        r"x has 11 features; this layer was built with input_size=10",
    ),
    (lambda: gw.RNN(10, 4)(torch.randn(10)), r"x has 1 dimensions; a layer takes 3, or 2 without a batch"),
    (
        lambda: gw.RNN(10, 4)(torch.randn(1, 5, 3, 10)),
        r"x has 4 dimensions; a layer takes 3, or 2 without a batch",
    ),
    (
        lambda: gw.GRU(10, 4)(x, torch.zeros(1, 2, 4)),
        r"h_0 has shape \(1, 2, 4\); with this x it must be \(1, 3, 4\)",
    ),
    (
        lambda: gw.GRU(10, 4, num_layers=2, bidirectional=True)(x, torch.zeros(2, 3, 4)),
        r"h_0 has shape \(2, 3, 4\); with this x it must be \(4, 3, 4\)",
    ),
    (
        lambda: gw.GRU(10, 4)(torch.randn(5, 10), torch.zeros(1, 1, 4)),
        r"h_0 has shape \(1, 1, 4\); with this x it must be \(1, 4\)",
    ),
    (
        lambda: gw.LSTM(10, 4, proj_size=2)(x, (torch.zeros(1, 3, 2), torch.zeros(1, 3, 2))),
        r"c_0 has shape \(1, 3, 2\); with this x it must be \(1, 3, 4\)",
    ),
    (lambda: gw.LSTM(10, 4)(x, torch.zeros(1, 3, 4)), r"hx holds 1 states; this layer takes \(h_0, c_0\)"),
    (
        lambda: gw.GRU(10, 4)(x, (torch.zeros(1, 3, 4), torch.zeros(1, 3, 4))),
        r"hx holds 2 states; this layer takes h_0",
    ),
    (lambda: gw.LSTM(10, 4)(x.double()), r"torch.float64.*torch.float32"),
    (lambda: gw.LSTM(10, 4)(x, resets=torch.zeros(5, 3)), r"resets"),
    (lambda: gw.LSTM(10, 0), r"hidden_size is 0; it must be 1 or more"),
    (lambda: gw.LSTM(10, 4, num_layers=0), r"num_layers is 0; it must be 1 or more"),
    (lambda: gw.LSTM(-1, 4), r"input_size is -1; it must be 1 or more"),
    (lambda: gw.GRU(10, 4, 2, dropout=1.5), r"dropout is 1.5; it is a probability between 0 and 1"),
    (lambda: gw.GRU(10, 4, 2, dropout="0.5"), r"dropout is '0.5'; it is a probability between 0 and 1"),
    (
        lambda: gw.LSTM(10, 4, proj_size=4),
        r"proj_size is 4; it must be 0 \(none\) or less than hidden_size=4",
    ),
    (lambda: gw.LSTM(10, 4, proj_size=-1), r"proj_size is -1"),
    (lambda: gw.RNN(10, 4, nonlinearity="gelu"), r"nonlinearity is 'gelu'; it can be 'tanh' or 'relu'"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[m for _, m in CALLS])
def test_refused_with_the_numbers(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_refused_call_leaves_no_trace():
    layer = gw.LSTM(10, 4)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    with pytest.raises(UsageError):
        layer(torch.randn(5, 3, 11))
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    assert layer(x)[0].shape == (5, 3, 4)


def test_a_projection_does_not_warn_of_what_torch_falls_back_to():
    # in a process of its own: PyTorch warns once and then never again
    program = (
        "import torch, gatewise as gw\n"
        "y, _ = gw.LSTM(2, 3, proj_size=2)(torch.zeros(4, 1, 2))\n"
        "y.sum().backward()"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
