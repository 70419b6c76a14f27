"""The cell modules as drop-ins for torch.nn's, and what they refuse."""

import copy

import pytest
import torch
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError

PAIRS = {
    "lstm": (gw.LSTMCell, nn.LSTMCell, {}),
    "gru": (gw.GRUCell, nn.GRUCell, {}),
    "rnn_tanh": (gw.RNNCell, nn.RNNCell, {}),
    "rnn_relu": (gw.RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
}
every_kind = pytest.mark.parametrize("kind", PAIRS)


def pair(kind, bias=True, dtype=torch.float64, I=4, H=5):  # noqa: E741
    """Ours and torch's, with the same weights."""
    ours_class, torch_class, options = PAIRS[kind]
    theirs = torch_class(I, H, bias=bias, dtype=dtype, **options)
    ours = ours_class(I, H, bias=bias, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@every_kind
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("state", ["given", "none"])
@pytest.mark.parametrize("batch", [(3,), (1,), ()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_equal_torch(kind, bias, state, batch, dtype):
    ours, theirs = pair(kind, bias, dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    x = torch.randn(*batch, 4, dtype=dtype, requires_grad=True)
    states = tuple(
        torch.randn(*batch, 5, dtype=dtype, requires_grad=True) for _ in range(2 if kind == "lstm" else 1)
    )
    hx = None if state == "none" else states if kind == "lstm" else states[0]
    results = []
    for module in (ours, theirs):
        out = as_tuple(module(x, hx))
        leaves = [x, *(states if hx is not None else ()), *module.parameters()]
        seeds = [torch.linspace(-1, 2, o.numel(), dtype=dtype).reshape(o.shape) for o in out]
        results.append((out, torch.autograd.grad(out, leaves, seeds)))
    for got, expected in zip(results[0], results[1], strict=True):
        for g, e in zip(got, expected, strict=True):
            torch.testing.assert_close(g, e, rtol=tolerance, atol=tolerance)


@every_kind
@pytest.mark.parametrize("bias", [True, False])
def test_state_dicts_have_the_same_keys_shapes_and_order(kind, bias):
    ours, theirs = pair(kind, bias)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]
    theirs.load_state_dict(ours.state_dict(), strict=True)


@every_kind
def test_the_same_seed_draws_the_same_weights_as_torch(kind):
    ours_class, torch_class, options = PAIRS[kind]
    torch.manual_seed(3)
    theirs = torch_class(4, 5, **options)
    torch.manual_seed(3)
    ours = ours_class(4, 5, **options)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@every_kind
def test_an_empty_batch_returns_an_empty_state(kind):
    ours, _ = pair(kind)
    for h in as_tuple(ours(torch.zeros(0, 4, dtype=torch.float64))):
        assert h.shape == (0, 5)


@every_kind
def test_repr_deepcopy_and_dtype(kind):
    ours, theirs = pair(kind)
    assert repr(ours) == repr(theirs)
    twin = copy.deepcopy(ours)
    x = torch.randn(3, 4, dtype=torch.float64)
    assert torch.equal(as_tuple(twin(x))[0], as_tuple(ours(x))[0])
    assert as_tuple(ours.to(torch.float32)(x.float()))[0].dtype == torch.float32


def test_reset_before_is_the_paper_and_differs_from_torch():
    cell = gw.GRUCell(2, 3, dtype=torch.float64, reset_after=False)
    x, h = torch.randn(1, 2, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    w_r, w_z, w_n = cell.weight_ih.chunk(3)
    u_r, u_z, u_n = cell.weight_hh.chunk(3)
    (b_r, b_z, b_n), (d_r, d_z, d_n) = cell.bias_ih.chunk(3), cell.bias_hh.chunk(3)
    r = torch.sigmoid(w_r @ x[0] + b_r + u_r @ h[0] + d_r)
    z = torch.sigmoid(w_z @ x[0] + b_z + u_z @ h[0] + d_z)
    n = torch.tanh(w_n @ x[0] + b_n + u_n @ (r * h[0]) + d_n)
    torch.testing.assert_close(cell(x, h)[0], (1 - z) * n + z * h[0], rtol=1e-13, atol=1e-13)
    assert not torch.allclose(cell(x, h), gw.GRUCell.forward(_with_reset_after(cell), x, h), atol=1e-4)


def _with_reset_after(cell):
    twin = copy.deepcopy(cell)
    twin.reset_after = True
    return twin


@every_kind
def test_wrong_sizes_are_refused_with_the_numbers(kind):
    ours, _ = pair(kind)

    def state(*shape):
        h = torch.zeros(shape, dtype=torch.float64)
        return (h, h) if kind == "lstm" else h

    x = torch.zeros(3, 4, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"x has 11 features; this cell was built with input_size=4"):
        ours(torch.zeros(3, 11, dtype=torch.float64))
    with pytest.raises(UsageError, match=r"x has 3 dimensions; a cell takes \[batch, 4\] or \[4\]"):
        ours(torch.zeros(2, 3, 4, dtype=torch.float64))
    with pytest.raises(UsageError, match=r"h has 6 features; this cell was built with hidden_size=5"):
        ours(x, state(3, 6))
    with pytest.raises(UsageError, match=r"h has batch size 2; x has 3"):
        ours(x, state(2, 5))
    with pytest.raises(UsageError, match=r"h has 1 dimensions; with this x it needs 2"):
        ours(x, state(5))


def test_wrong_lstm_states_and_options_are_refused():
    ours, _ = pair("lstm")
    x, h = torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, 5, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"c has 7 features; this cell was built with hidden_size=5"):
        ours(x, (h, torch.zeros(3, 7, dtype=torch.float64)))
    with pytest.raises(UsageError, match=r"hx.*2"):
        ours(x, (h, h, h))
    with pytest.raises(UsageError, match=r"nonlinearity is 'gelu'; it can be 'tanh' or 'relu'"):
        gw.RNNCell(4, 5, nonlinearity="gelu")


@every_kind
def test_positional_arguments_stand_where_torch_has_them(kind):
    ours_class, torch_class, _ = PAIRS[kind]
    extra = ("relu",) if kind.startswith("rnn") else ()
    ours = ours_class(4, 5, False, *extra, "cpu", torch.float64)
    assert repr(ours) == repr(torch_class(4, 5, False, *extra, "cpu", torch.float64))
    assert ours.weight_ih.dtype == torch.float64
