"""`torch.compile(layer, fullgraph=True)`: no graph breaks, no compilation for every length, the eager answer."""

from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import gatewise as gw
from contract.catalogue import CELLS
from contract.layer_cases import flat
from gatewise.errors import UsageError
from gatewise.kernels import native


def of_line(line):
    """A layer of the last variant of a line: all that go together, or dropped weights."""
    return line.layer(3, 4, **line.options(line.variants[-1], 4))


LAYERS = {
    **{name: partial(of_line, line) for name, line in CELLS.items()},
    "deep": lambda: gw.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    "varied": lambda: gw.LSTM(3, 4, peephole=True, coupled=True, zoneout=(0.2, 0.1), recurrent_dropout=0.3),
    "recomputed": lambda: gw.GRU(3, 4, bidirectional=True, recompute=True),
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


# (layer, what the call has beside x, with native kernels)
CALLS = [
    *[(name, "both", True) for name in LAYERS],
    ("deep", "both", False), ("varied", "both", False), ("deep", "lengths", False),
]  # fmt: skip
MORE = [
    *[(name, "none", True) for name in LAYERS], ("deep", "lengths", True), ("recomputed", "resets", True),
    ("rnn_tanh", "both", False),
    *[(name, "none", False) for name in ("deep", "varied", "rnn_tanh")],
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "extra", "has_native"),
    CALLS + [pytest.param(*call, marks=pytest.mark.thorough) for call in MORE],
)
def test_two_compilations_do_for_all_lengths(name, extra, has_native, monkeypatch):
    if not has_native:
        monkeypatch.setattr(native, "available", lambda: False)
        monkeypatch.setattr(native, "why_missing", lambda: "none here")
    elif not native.available():
        pytest.skip("no native kernels")
    layer, counter = LAYERS[name](), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for T in (2, 3, 5, 8, 11):
        x, call = example(layer, T, extra)
        got, expected = (answers(run, layer, x, call, seed=T) for run in (compiled, layer))
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("name", ["deep", "varied"])
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
@pytest.mark.parametrize("name", ["deep", "gru_reset_before"])
def test_wrong_lengths_are_refused_all_the_same(name, wrong):
    layer = LAYERS[name]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x, call = example(layer, 6, "lengths")
    compiled(x, **call)
    low, high = min(wrong), max(wrong)
    message = f"lengths go from {low} to {high}; x has 6 steps, so they must lie between 0 and 6"
    with pytest.raises(UsageError, match=message):
        compiled(x, lengths=torch.tensor(wrong))
