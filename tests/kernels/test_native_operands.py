"""What crosses into C++ as addresses: numbers that stand elsewhere or otherwise, and sizes that do not agree."""

import pytest
import torch
from native_cases import native_only
from torch import nn
from torch._subclasses import FakeTensorMode

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.kernels import Weights, recurrence

pytestmark = native_only


def negated(*shape):
    """Numbers that stand in memory with the other sign: PyTorch's negative bit."""
    z = torch.randn(*shape, dtype=torch.complex64)
    found = z.conj().imag
    assert found.is_neg()
    return found


def dense_negated(*shape):
    return torch._neg_view(torch.randn(shape))  # pyright: ignore[reportPrivateImportUsage]


@pytest.mark.parametrize("of", [negated, dense_negated])
@pytest.mark.parametrize("sizes", [(1, 4), (3, 1)])
def test_negative_bits_of_inputs_and_states(of, sizes):
    I, H = sizes  # noqa: E741
    layer = gw.LSTM(I, H)
    x, h, c = of(5, 2, I), of(1, 2, H), of(1, 2, H)
    with gw.backend("native"):
        got = layer(x, (h, c))
        expected = layer(x.resolve_neg(), (h.resolve_neg(), c.resolve_neg()))
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[1][1], expected[1][1])


def test_negative_bits_of_gradients():
    layer, x, z = gw.GRU(3, 1), torch.randn(5, 2, 3), torch.randn(5, 2, 1, dtype=torch.complex64)
    bits = []

    def gradients(name):
        with gw.backend(name):
            y, _ = layer(x)
        y.register_hook(lambda g: bits.append(g.is_neg()))
        loss = (torch.complex(torch.zeros_like(y), y).conj() * z).real.sum()
        return torch.autograd.grad(loss, list(layer.parameters()))

    for got, expected in zip(gradients("native"), gradients("naive"), strict=True):
        torch.testing.assert_close(got, expected)
    assert bits == [True, True]


def test_the_default_device_may_be_another():
    layer, x = gw.LSTM(3, 4), torch.randn(5, 2, 3)
    expected = layer(x)[0]
    of_expected = torch.autograd.grad(expected.sum(), list(layer.parameters()))
    with torch.device("meta"):
        got = layer(x)[0]
        of_got = torch.autograd.grad(got.sum(), list(layer.parameters()))
        y = layer.streaming(batch_size=2).run(x)
    assert torch.equal(got, expected)
    for gradient, wanted in zip(of_got, of_expected, strict=True):
        assert torch.equal(gradient, wanted)
    assert torch.equal(y, expected)


def on_meta(name, shape):
    def change(layer, hx):
        setattr(layer, name, nn.Parameter(torch.randn(shape, device="meta")))
        return hx

    return change


def state_on_meta(layer, hx):
    return hx[0], hx[1].to("meta")


def fake(layer, hx):
    layer.weight_ih_l0 = nn.Parameter(FakeTensorMode().from_tensor(layer.weight_ih_l0.detach()))
    return hx


ELSEWHERE = {
    "w_hh": (on_meta("weight_hh_l0", (16, 4)), "w_hh is a Parameter on meta"),
    "bias": (on_meta("bias_ih_l0", (16,)), "b_ih is a Parameter on meta"),
    "state": (state_on_meta, "c0 is a Tensor on meta"),
    "fake": (fake, "w_ih is a FakeTensor"),
}


@pytest.mark.parametrize("what", ELSEWHERE)
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_numbers_in_another_memory_are_refused(what, grad):
    change, message = ELSEWHERE[what]
    layer = gw.LSTM(3, 4)
    hx = change(layer, (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)))
    with gw.backend("native"), torch.set_grad_enabled(grad), pytest.raises(UsageError, match=message):
        layer(torch.randn(5, 2, 3), hx)


SHAPES = {
    "weight_ih_l0": (
        (20, 2),
        r"w_ih has shape \(20, 2\); with x \(\d, \d, 3\) and 5 units it must be \(20, 3\)",
    ),
    "weight_hh_l0": ((3, 4), r"w_hh has shape \(3, 4\).*must be \(20, 4\)"),
    "bias_ih_l0": ((2,), r"b_ih has shape \(2,\).*must be \(20,\)"),
    "bias_hh_l0": ((1, 20), r"b_hh has shape \(1, 20\).*must be \(20,\)"),
    "weight_hr_l0": ((1, 5), r"w_hr has shape \(1, 5\).*must be \(4, 5\)"),
    "weight_peephole_l0": ((14,), r"peephole has shape \(14,\).*must be \(15,\)"),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("grad", [True, False])
def test_weights_of_another_shape_are_refused(name, grad):
    shape, message = SHAPES[name]
    layer = gw.LSTM(3, 5, proj_size=4, peephole=True)
    setattr(layer, name, nn.Parameter(torch.randn(shape)))
    with gw.backend("native"), torch.set_grad_enabled(grad), pytest.raises(UsageError, match=message):
        layer(torch.randn(5, 2, 3))
    with gw.backend("native"), pytest.raises(UsageError, match=message):
        layer.streaming()


def test_a_weight_between_the_layers_of_a_stream():
    layer = gw.GRU(3, 4, num_layers=2)
    layer.weight_ih_l1 = nn.Parameter(torch.randn(12, 9))
    with pytest.raises(UsageError, match=r"w_ih has shape \(12, 9\).*must be \(12, 4\)"):
        layer.streaming()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c0": None}, "a lstm cell needs c0"),
        ({"c0": torch.zeros(1, 4)}, r"c0 has shape \(1, 4\).*must be \(2, 4\)"),
        ({"h0": torch.zeros(1, 4)}, r"h0 has shape \(1, 4\).*must be \(2, 4\)"),
        ({"lengths": torch.tensor([3])}, r"lengths has shape \(1,\).*must be \(2,\)"),
        ({"lengths": torch.tensor([3, 1], dtype=torch.int32)}, "lengths are torch.int32"),
        ({"resets": torch.zeros(4, 2, dtype=torch.bool)}, r"resets has shape \(4, 2\).*must be \(5, 2\)"),
    ],
)
def test_what_a_layer_checks_is_checked_below_it_too(change, message):
    weights = Weights(torch.randn(16, 3), torch.randn(16, 4))
    given = {"h0": torch.zeros(2, 4), "c0": torch.zeros(2, 4)} | change
    h0, c0 = given.pop("h0"), given.pop("c0")
    with gw.backend("native"), pytest.raises(UsageError, match=message):
        recurrence("lstm", torch.randn(5, 2, 3), h0, c0, weights, **given)
