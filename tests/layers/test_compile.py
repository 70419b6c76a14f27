"""`torch.compile(layer, fullgraph=True)`: no graph breaks, no compilation for every length, the eager answer."""

import pytest
import torch
from layer_pairs import flat
from torch._dynamo.testing import CompileCounterWithBackend

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.kernels import native

LAYERS = {
    "lstm": lambda: gw.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    "projected": lambda: gw.LSTM(3, 4, proj_size=2),
    "varied": lambda: gw.LSTM(3, 4, peephole=True, coupled=True, zoneout=(0.2, 0.1), recurrent_dropout=0.3),
    "normed": lambda: gw.LSTM(3, 4, layer_norm=True, recurrent_dropout=0.3, recurrent_dropout_on="g"),
    "dropped": lambda: gw.GRU(3, 4, num_layers=2, recurrent_dropout=0.3, recurrent_dropout_on="weights"),
    "gru": lambda: gw.GRU(3, 4, bidirectional=True, recompute=True),
    "reset_before": lambda: gw.GRU(3, 4, reset_after=False),
    "rnn": lambda: gw.RNN(3, 4, recurrent_dropout=0.3),
    "stack": lambda: gw.Stack([gw.GRU(3, 4), gw.LSTM(4, 5, layer_norm=True)]),
}


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


def example(layer, T, extra):
    """(x, keyword arguments) of a call with T steps."""
    shape = (5, T) if layer.batch_first else (T, 5)
    call = {}
    if extra in ("lengths", "both"):
        call["lengths"] = torch.randint(0, T + 1, (5,))
    if extra in ("resets", "both"):
        call["resets"] = torch.rand(shape) < 0.3
    return torch.randn(*shape, 3, requires_grad=True), call


def answers(run, layer, x, call, seed):
    """Outputs and gradients."""
    torch.manual_seed(seed)
    outputs = flat(run(x, **call))
    total = sum((k + 1) * o.square().sum() for k, o in enumerate(outputs))
    return [*outputs, *torch.autograd.grad(total, [x, *layer.parameters()])]


NATIVE = [(name, extra, True) for name in LAYERS for extra in ("none", "both")]
OTHERS = [(name, extra, False) for name in ("lstm", "varied", "rnn") for extra in ("none", "both")]
SINGLE = [("lstm", "lengths", True), ("lstm", "lengths", False), ("gru", "resets", True)]


@pytest.mark.parametrize(("name", "extra", "has_native"), NATIVE + OTHERS + SINGLE)
def test_two_compilations_do_for_all_lengths(name, extra, has_native, monkeypatch):
    if not has_native:
        monkeypatch.setattr(native, "available", lambda: False)
        monkeypatch.setattr(native, "why_missing", lambda: "none here")
    elif not native.available():
        pytest.skip("no native kernels")
    layer, counter = LAYERS[name](), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for T in range(2, 12):
        x, call = example(layer, T, extra)
        got, expected = (answers(run, layer, x, call, seed=T) for run in (compiled, layer))
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("name", ["lstm", "varied", "rnn"])
def test_without_gradients(name):
    layer = LAYERS[name]().eval()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for T in (3, 7, 5):
        x, call = example(layer, T, "both")
        with torch.no_grad():
            for a, b in zip(flat(compiled(x, **call)), flat(layer(x, **call)), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_masks_are_drawn_anew_in_every_call():
    layer, x = LAYERS["varied"](), torch.randn(6, 5, 3)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(x)[0], compiled(x)[0])


@pytest.mark.parametrize("wrong", [[2, 9, 1, 0, 3], [2, -1, 1, 0, 3]])
@pytest.mark.parametrize("name", ["lstm", "reset_before"])
def test_wrong_lengths_are_refused_all_the_same(name, wrong):
    layer = LAYERS[name]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x, call = example(layer, 6, "lengths")
    compiled(x, **call)
    low, high = min(wrong), max(wrong)
    message = f"lengths go from {low} to {high}; x has 6 steps, so they must lie between 0 and 6"
    with pytest.raises(UsageError, match=message):
        compiled(x, lengths=torch.tensor(wrong))
