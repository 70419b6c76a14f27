"""Forward-mode differentiation: it agrees with the reverse mode, and no tangent is dropped on the way."""

import pytest
import torch
from torch.autograd import forward_ad

import gatewise as gw
from gatewise.errors import UsageError

KINDS = {
    "lstm": lambda: gw.LSTM(3, 4, proj_size=2),
    "gru": lambda: gw.GRU(3, 4, bidirectional=True),
    "gru_reset_before": lambda: gw.GRU(3, 4, reset_after=False),
    "rnn": lambda: gw.RNN(3, 4, num_layers=2),
}
# PyTorch compiles its rules with `torch.jit.script`, and warns of it itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

every_kind = pytest.mark.parametrize("kind", KINDS)


def function(kind):
    torch.manual_seed(1)
    layer = KINDS[kind]().double().requires_grad_(False)
    return lambda x: layer(x, lengths=[5, 2])[0].sin()


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64)


@every_kind
def test_jvp_is_the_transpose_of_vjp(kind):
    f, x, v = function(kind), drawn(5, 2, 3), drawn(5, 2, 3)
    y, tangent, *_ = torch.func.jvp(f, (x,), (v,))
    assert torch.allclose(y, f(x), rtol=1e-12, atol=1e-12)
    x.requires_grad_()
    u = torch.randn_like(y)
    (pulled,) = torch.autograd.grad(f(x), x, u)
    assert tangent.any()
    torch.testing.assert_close((tangent * u).sum(), (pulled * v).sum(), rtol=1e-10, atol=1e-10)


@every_kind
def test_dual_tensors(kind):
    f, x, v = function(kind), drawn(5, 2, 3), drawn(5, 2, 3)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(f(forward_ad.make_dual(x, v))).tangent
    torch.testing.assert_close(tangent, torch.func.jvp(f, (x,), (v,))[1])


@every_kind
def test_forward_over_reverse_is_the_product_with_the_hessian(kind):
    f, x, v = function(kind), drawn(5, 2, 3), drawn(5, 2, 3)

    def loss(x):
        return f(x).square().sum()

    _, product, *_ = torch.func.jvp(torch.func.grad(loss), (x,), (v,))
    x.requires_grad_()
    (slope,) = torch.autograd.grad(loss(x), x, create_graph=True)
    (expected,) = torch.autograd.grad((slope * v).sum(), x)
    assert expected.any()
    torch.testing.assert_close(product, expected, rtol=1e-9, atol=1e-9)


def test_a_layer_in_training_too():
    layer, x, v = gw.LSTM(3, 4), torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, v))[0]).tangent
    assert tangent is not None
    torch.testing.assert_close(tangent, torch.func.jvp(lambda x: layer(x)[0], (x,), (v,))[1])


@pytest.mark.parametrize("name", ["native", "aten"])
def test_a_forced_backend_without_it_says_so(name):
    layer, x = gw.LSTM(3, 4), torch.randn(5, 2, 3)
    with gw.backend(name), forward_ad.dual_level(), pytest.raises(UsageError, match=r"forward-mode|no C\+\+"):
        layer(forward_ad.make_dual(x, x))


def test_the_reasons_tell_it():
    layer, x = gw.LSTM(3, 4), torch.randn(5, 2, 3)
    assert gw.explain_backend(layer, x).backend != "naive"
    with forward_ad.dual_level():
        choice = gw.explain_backend(layer, x)
    assert choice.backend == "naive"
    assert "forward-mode" in choice.reasons["aten"]
