"""Long, empty and oddly laid out inputs.

Offsets are 64-bit throughout; a tensor of more than 2^31 elements, which would show it, takes 8 GiB and is not tried.
"""

import pytest
import torch
from contract.cases import assert_equal_bits
from native_cases import CELLS, make, native_only, run

import gatewise as gw
from gatewise.kernels import backend

pytestmark = native_only


@pytest.mark.parametrize("kind", [gw.LSTM, gw.GRU, gw.RNN])
def test_a_million_steps(kind):
    layer = kind(2, 4)
    x = torch.randn(1_000_000, 1, 2)
    with backend("native"), torch.no_grad():
        output, _ = layer(x)
        last, _ = layer(x[-200:])  # the weights forget what lies longer ago
    assert output.shape == (1_000_000, 1, 4) and output.isfinite().all()
    torch.testing.assert_close(output[-1], last[-1], rtol=1e-5, atol=1e-6)


def test_a_million_steps_of_which_few_count():
    layer, x = gw.LSTM(1, 4), torch.full((1_000_000, 2, 1), torch.nan)
    x[:5] = 0.5
    with backend("native"), torch.no_grad():
        output, _ = layer(x, lengths=[5, 0])
        short, _ = layer(x[:5])
    assert torch.equal(output[:5, 0], short[:, 0])
    assert not output[5:].any() and not output[:, 1].any()


def test_many_steps_back():
    """Gradients of a hundred thousand steps are those of the last few where only these are looked at."""
    layer = gw.GRU(2, 3)
    x = torch.randn(100_000, 1, 2, requires_grad=True)
    with backend("native"):
        (dx,) = torch.autograd.grad(layer(x)[0][-1].sum(), x)
        (short,) = torch.autograd.grad(layer(x[-300:])[0][-1].sum(), x)
    torch.testing.assert_close(dx, short, rtol=1e-4, atol=1e-7)
    assert not dx[:-2000].any()  # flushed to zero, not denormal


def laid_out(x, how):
    """The same [T, B, I] values under other strides, surrounded by NaN."""
    T, B, I = x.shape  # noqa: E741
    if how == "batch first":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if how == "features first":
        return x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    wide = x.new_full((2 * T + 1, B + 3, 2 * I + 5), torch.nan)
    place = {
        "every second step": (slice(1, 2 * T, 2), slice(2, B + 2), slice(3, I + 3)),
        "every second feature": (slice(T), slice(B), slice(0, 2 * I, 2)),
    }[how]
    wide[place] = x
    return wide[place]


@pytest.mark.parametrize(
    "how", ["batch first", "features first", "every second step", "every second feature"]
)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("I", [1, 6])
def test_strides_of_x_change_no_bit(cell, I, how):  # noqa: E741
    made = make(cell=cell, I=I, lengths="unsorted")
    expected = run(made)
    made.x = laid_out(made.x.detach(), how).requires_grad_()
    for got, wanted in zip(run(made), expected, strict=True):
        assert_equal_bits(got, wanted, how)


@pytest.mark.parametrize("cell", CELLS)
def test_an_expanded_x_and_expanded_states(cell):
    made = make(cell=cell)
    T, B, I = made.x.shape  # noqa: E741
    whole = [made.x[:1, :1].expand(T, B, I), made.h0[:1].expand(B, -1)]
    whole += [] if made.c0 is None else [made.c0[:1].expand(B, -1)]
    seen = []
    for each in (lambda t: t.detach(), lambda t: t.detach().contiguous()):
        leaves = [each(t).requires_grad_() for t in whole]
        made.x, made.h0, *c0 = leaves
        made.c0 = c0[0] if c0 else None
        seen.append(run(made))
    for got, wanted in zip(*seen, strict=True):
        assert_equal_bits(got, wanted)


@pytest.mark.parametrize("how", ["batch first", "every second feature", "expanded"])
@pytest.mark.parametrize("cell", CELLS)
def test_strides_of_cotangents_change_no_bit(cell, how):
    made = make(cell=cell, keep_c=True)
    leaves = list(made.leaves().values())
    with backend("native"):
        result = [t for t in made.run() if t is not None]
    cotangents = []
    for output in result:
        drawn = torch.randn_like(output)
        if how == "expanded":
            cotangents.append(drawn[:1, :1].expand(output.shape))
        elif output.dim() == 3:
            cotangents.append(laid_out(drawn, how))
        else:
            cotangents.append(drawn.t().contiguous().t())
    got, wanted = (
        torch.autograd.grad(result, leaves, [change(c) for c in cotangents], retain_graph=True)
        for change in (lambda c: c, torch.Tensor.contiguous)
    )
    for a, b in zip(got, wanted, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
def test_empty_inputs(cell, dtype, T, B):
    values, gradients = run(make(cell=cell, dtype=dtype, T=T, B=B, keep_c=True))
    assert values["h_seq"].shape[:2] == (T, B) and values["h_n"].shape[0] == B
    assert all(not gradients[name].any() for name in gradients if name not in ("x", "h0", "c0"))
    assert gradients["x"].shape[:2] == (T, B)
