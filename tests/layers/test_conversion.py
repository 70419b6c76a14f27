"""`gw.from_torch` and `to_torch`: same options, same outputs, weights copied and not shared; copies and dtypes."""

import copy

import pytest
import torch
from layer_pairs import KINDS, H, I, flat, pair
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError

every_kind = pytest.mark.parametrize("kind", KINDS)
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
    {"bias": False, "batch_first": True},
    {"num_layers": 3, "bias": False, "dropout": 1.0, "batch_first": True, "bidirectional": True},
]
ATTRIBUTES = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size", "mode",
)  # fmt: skip


# torch's own module warns, once a process
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@every_kind
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_there_and_back(kind, options, training, dtype):
    _, theirs = pair(kind, dtype, **options)
    theirs.train(training)
    ours = gw.from_torch(theirs)
    again = ours.to_torch()
    assert type(ours) is KINDS[kind][0] and type(again) is type(theirs)
    for name in ATTRIBUTES:
        assert getattr(ours, name) == getattr(theirs, name) == getattr(again, name), name
    assert ours.training == again.training == training
    x = torch.randn(5, 2, I, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    if not (training and options.get("dropout") == 0.3):
        for got, expected, back in zip(flat(ours(x)), flat(theirs(x)), flat(again(x)), strict=True):
            torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)
            assert torch.equal(back, expected)
    state = theirs.state_dict()
    for module in (ours, again):
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name])
            assert value.data_ptr() != state[name].data_ptr()


@every_kind
def test_weights_are_not_shared(kind):
    _, theirs = pair(kind)
    ours = gw.from_torch(theirs)
    back = ours.to_torch()
    before = ours.weight_hh_l0.detach().clone()
    with torch.no_grad():
        theirs.weight_hh_l0.fill_(7.0)
        back.weight_hh_l0.fill_(8.0)
    assert torch.equal(ours.weight_hh_l0, before)


def test_what_torch_has_not_is_refused_by_name():
    with pytest.raises(UsageError, match=r"reset_after=False"):
        gw.GRU(I, H, reset_after=False).to_torch()
    with pytest.raises(UsageError, match=r"from_torch takes a torch.nn.LSTM, GRU or RNN; this is a Linear"):
        gw.from_torch(nn.Linear(2, 3))
    with pytest.raises(UsageError, match=r"LSTMCell"):
        gw.from_torch(nn.LSTMCell(2, 3))
    with pytest.raises(UsageError, match=r"this is a "):
        gw.from_torch(gw.LSTM(2, 3))


def test_initial_values_do_not_hinder_to_torch():
    layer = gw.LSTM(I, H, forget_bias=1.0)
    assert torch.equal(layer.to_torch().bias_ih_l0, layer.bias_ih_l0)


@every_kind
def test_deepcopy_is_a_twin_of_its_own(kind):
    ours, _ = pair(kind, num_layers=2, bidirectional=True)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    twin = copy.deepcopy(ours)
    expected = flat(ours(x))
    with torch.no_grad():
        ours.weight_hh_l0.zero_()
    for got, value in zip(flat(twin(x)), expected, strict=True):
        assert torch.equal(got, value)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@every_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_to_another_dtype(kind, dtype):
    ours, theirs = pair(kind, torch.float32)
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    x = torch.randn(5, 2, I).to(dtype)
    for got, expected in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got, expected, rtol=1.6e-2, atol=1.6e-2)


@every_kind
def test_an_in_place_change_of_a_weight_shows_at_once(kind):
    ours, theirs = pair(kind)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    ours(x)
    with torch.no_grad():
        for layer in (ours, theirs):
            layer.weight_hh_l0.mul_(0.5)
    ours.flatten_parameters()
    assert torch.allclose(flat(ours(x))[0], flat(theirs(x))[0], rtol=1e-12, atol=1e-12)


@every_kind
def test_flatten_parameters_does_nothing(kind):
    ours, _ = pair(kind)
    before = {k: (v.data_ptr(), v.clone()) for k, v in ours.state_dict().items()}
    assert ours.flatten_parameters() is None
    for name, value in ours.state_dict().items():
        assert value.data_ptr() == before[name][0] and torch.equal(value, before[name][1])


@every_kind
@pytest.mark.parametrize("options", OPTIONS)
def test_repr_shows_the_options_that_were_set(kind, options):
    ours, theirs = pair(kind, **options)
    text = repr(ours)
    assert text.startswith(f"{type(theirs).__name__}({I}, {H}") and text.endswith(")")
    shown = set(text.removesuffix(")").split("(", 1)[1].split(", ")[2:])
    expected = {f"{k}={v}" for k, v in {**options, **KINDS[kind][2]}.items()}
    assert shown == {e.replace("relu", "'relu'") for e in expected}


def test_a_gatewise_layer_is_not_a_torch_layer():
    assert not isinstance(gw.LSTM(2, 3), nn.RNNBase)


@every_kind
def test_a_forward_pass_leaves_the_random_state_alone(kind):
    ours, _ = pair(kind, num_layers=2)
    state = torch.get_rng_state()
    flat(ours(torch.zeros(5, 2, I, dtype=torch.float64), lengths=[5, 2]))[0].sum().backward()
    assert torch.equal(torch.get_rng_state(), state)


@every_kind
@pytest.mark.parametrize("backend", ["naive", "aten"])
def test_double_backward_equals_torch(kind, backend):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True)
    x = torch.randn(3, 2, I, dtype=torch.float64, requires_grad=True)
    seconds = []
    for layer in (ours, theirs):
        with gw.backend(backend):
            total = sum((o**2).sum() for o in flat(layer(x)))
            first = torch.autograd.grad(total, [x, *layer.parameters()], create_graph=True)
            penalty = sum((g**2).sum() for g in first)
            seconds.append(torch.autograd.grad(penalty, [x, *layer.parameters()], materialize_grads=True))
    for got, expected in zip(*seconds, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@every_kind
def test_the_meta_device_infers_shapes(kind):
    ours_class, torch_class, fixed = KINDS[kind]
    x = torch.zeros(5, 2, I, device="meta")
    shapes = []
    for cls in (ours_class, torch_class):
        shapes.append(
            [t.shape for t in flat(cls(I, H, num_layers=2, bidirectional=True, device="meta", **fixed)(x))]
        )
    assert shapes[0] == shapes[1]
