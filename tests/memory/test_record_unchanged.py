"""Recording changes nothing: results, gradients, random state and backend, bit for bit; and leaves no hook."""

from contextlib import nullcontext

import pytest
import torch
from record_cases import Nest
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import gatewise as gw
from gatewise import layers as gwl
from gatewise.memory import record


class Ours(nn.Module):
    """Layers of ours with masks, norms, resets and dropout between them."""

    def __init__(self):
        super().__init__()
        self.lstm = gwl.LSTM(
            5, 8, 2, dropout=0.3, bidirectional=True, peephole=True, coupled=True, zoneout=(0.2, 0.1)
        )
        self.normed = gwl.LSTM(16, 6, layer_norm=True, recurrent_dropout=0.3, recurrent_dropout_on="g")
        self.gru = gwl.GRU(6, 6, recurrent_dropout=0.3, recurrent_dropout_on="weights", recompute=True)
        self.rnn = gwl.RNN(6, 4, recurrent_dropout=0.3)

    def forward(self, x):
        resets = torch.zeros(x.shape[:2], dtype=torch.bool)
        resets[4] = True
        y = x
        for layer in (self.lstm, self.normed, self.gru, self.rnn):
            y, _ = layer(y, lengths=[len(x), 3, 5], resets=resets)
        return y + torch.rand_like(y)


class Plain(nn.Module):
    """Layers of ours that every backend runs."""

    def __init__(self):
        super().__init__()
        self.lstm = gwl.LSTM(5, 8, 2, dropout=0.3, bidirectional=True)
        self.gru = gwl.GRU(16, 6)

    def forward(self, x):
        return self.gru(self.lstm(x, lengths=[len(x), 3, 5])[0])[0]


class Tagger(nn.Module):
    """Dropout everywhere, two kinds of layer, and a cell."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 8, 2, dropout=0.3, bidirectional=True)
        self.gru = gwl.GRU(16, 6, 2, dropout=0.3)
        self.cell = nn.LSTMCell(6, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        y, _ = self.lstm(x)
        y, _ = self.gru(self.drop(y))
        state = None
        for step in y:
            state = self.cell(self.drop(step), state)
        return state[0] + torch.rand_like(state[0])


def step(model, x, recorder=None):
    """A training step from a known random state: output, gradients, and the random state after it."""
    torch.manual_seed(5)
    model.zero_grad()
    x = x.clone().requires_grad_()
    if recorder is None:
        y = model(x)
    else:
        with recorder(model):
            y = model(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters()), torch.get_rng_state()]


def hook_counts(model):
    return [
        len(hooks)
        for m in model.modules()
        for hooks in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "recorder",
    [record, lambda m: record(m, pre=True), lambda m: record(m, grad=True)],
    ids=["plain", "pre", "grad"],
)
def test_results_gradients_and_random_state_are_equal_bit_for_bit(recorder, training):
    model, x = Tagger().train(training), torch.randn(9, 3, 5)
    for plain, recorded in zip(step(model, x), step(model, x, recorder), strict=True):
        assert torch.equal(plain, recorded)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize(
    ("model", "backend"), [(Ours, ""), (Ours, "naive"), (Plain, ""), (Plain, "aten"), (Plain, "naive")]
)
def test_layers_of_ours_are_untouched_bit_for_bit(model, backend, pre, training):
    model, x = model().train(training), torch.randn(9, 3, 5)
    with gw.backend(backend) if backend else nullcontext():
        plain, recorded = step(model, x), step(model, x, lambda m: record(m, pre=pre))
    for before, after in zip(plain, recorded, strict=True):
        assert torch.equal(before, after)


def test_packed_results_are_the_same_object_that_the_layer_made():
    layer = nn.LSTM(3, 4, 2)
    packed = pack_sequence([torch.randn(n, 3) for n in (2, 5, 1)], enforce_sorted=False)
    plain, (h, c) = layer(packed)
    with record(layer):
        recorded, (h2, c2) = layer(packed)
    for a, b in zip((*plain, h, c), (*recorded, h2, c2), strict=True):
        assert torch.equal(a, b)


def test_modes_and_backends_stay_as_they_were():
    model = Tagger().eval()
    # Not by assignment: PyTorch's own test utilities, once imported, freeze the flags of torch.backends.
    torch._C._set_mkldnn_enabled(False)
    try:
        with record(model):
            model(torch.randn(9, 3, 5))
            assert not torch.backends.mkldnn.enabled
            assert torch.is_grad_enabled()
        assert not torch.backends.mkldnn.enabled
    finally:
        torch._C._set_mkldnn_enabled(True)
    assert not any(m.training for m in model.modules())


def test_no_hook_is_left_behind():
    model = Tagger()
    before = hook_counts(model)
    with record(model):
        assert hook_counts(model) != before
        model(torch.randn(9, 3, 5))
    assert hook_counts(model) == before


def test_no_hook_is_left_behind_by_an_exception_in_the_block():
    model = Tagger()
    with pytest.raises(RuntimeError, match="mine"), record(model):
        model(torch.randn(9, 3, 5))
        raise RuntimeError("mine")
    assert not any(hook_counts(model))


def test_no_hook_is_left_behind_by_an_exception_in_the_model():
    model = Nest(nn.LSTM(3, 4))
    with pytest.raises(RuntimeError, match=r"input\.size"), record(model):
        model(torch.randn(5, 2, 7))
    assert not any(hook_counts(model))


def test_what_was_recorded_before_an_exception_is_kept():
    layer = nn.LSTM(3, 4)
    with pytest.raises(KeyError), record(layer) as trace:
        layer(torch.randn(5, 2, 3))
        raise KeyError
    assert trace[""][0].h.shape == (5, 2, 4)


def test_recordings_may_be_nested():
    model = Nest(nn.GRU(3, 4))
    x = torch.randn(5, 2, 3)
    with record(model) as outer, record(model.body["rnn"]) as inner:
        model(x)
    assert torch.equal(outer["body.rnn"][0].z, inner[""][0].z)


def test_inference_mode():
    layer = nn.LSTM(3, 4, 2)
    cell = nn.LSTMCell(3, 4)
    with torch.inference_mode(), record(layer) as trace, record(cell) as of_cell:
        layer(torch.randn(5, 2, 3))
        cell(torch.randn(2, 3), cell(torch.randn(2, 3)))
    assert max(lt.residual for lt in trace.layers() + of_cell.layers()) <= 1e-6
    assert len(of_cell[""]) == 1
