"""How an answer reads the hidden states: linear heads exactly, others at the point, for models of anybody."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import layers as gwl
from gatewise.cells import GRUCell
from gatewise.errors import UsageError
from gatewise.memory import ledger, push_ledger, readout
from gatewise.tasks.classify.pooling import POOLINGS

F64 = {"dtype": torch.float64}
T, B, SIZE, H, K = 6, 4, 3, 5, 3
LENGTHS = [6, 1, 3, 5]
LAYERS = {
    "lstm": (nn.LSTM, {}),
    "lstm_projected": (nn.LSTM, {"proj_size": 2}),
    "gru": (nn.GRU, {}),
    "gw_lstm": (gwl.LSTM, {}),
    "gw_gru": (gwl.GRU, {}),
    "gw_gru_reset_before": (gwl.GRU, {"reset_after": False}),
}
HEADS = ["last", "mean", "max"]


class Model(nn.Module):
    """Recurrent layers, a pooling over the steps within the lengths, a linear layer; batch first throughout."""

    def __init__(self, kind, pooling, *, packed=False, **options):
        super().__init__()
        cls, extra = LAYERS[kind]
        self.rnn = cls(SIZE, H, batch_first=True, **extra, **options, **F64)
        directions = 2 if self.rnn.bidirectional else 1
        width = (self.rnn.proj_size or H) * directions
        self.pooling = POOLINGS[pooling](width, directions).double()
        self.head = nn.Linear(width, K, **F64)
        self.packed = packed

    def forward(self, x, lengths, hx=None):
        if self.packed:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            h, _ = pad_packed_sequence(self.rnn(packed, hx)[0], batch_first=True)
        elif isinstance(self.rnn, gwl.base.Recurrent):
            h, _ = self.rnn(x, hx, lengths)
        else:
            h, _ = self.rnn(x, hx)
        return self.head(self.pooling(h.transpose(0, 1), lengths))


class ByFinalState(nn.Module):
    """Reads h_n of the top layer's directions; the head is any module."""

    def __init__(self, rnn, head):
        super().__init__()
        self.rnn, self.head = rnn, head

    def forward(self, x, lengths=None, hx=None):
        if lengths is None:
            _, states = self.rnn(x, hx)
        else:
            _, states = self.rnn(x, hx, lengths)
        h_n = states[0] if isinstance(states, tuple) else states
        directions = 2 if self.rnn.bidirectional else 1
        return self.head(torch.cat(list(h_n[-directions:]), dim=-1))


def states_for(rnn, rows=B):
    count = rnn.num_layers * (2 if rnn.bidirectional else 1)
    h0 = torch.rand(count, rows, rnn.proj_size or H, **F64)
    return (h0, torch.rand(count, rows, H, **F64)) if rnn.mode == "LSTM" else h0


def sum_of_pushes(found):
    """Σ push + initial over the steps and directions, [B]."""
    total = torch.zeros_like(found.value)
    for key, weights in found.weights.items():
        sums = push_ledger(found.traces[key], weights, torch.ones(weights.shape[2], **F64))
        total += sums.push.sum(0) + sums.initial
        assert sums.residual <= 1e-12
    return total


def assert_adds_up(found, model, answer):
    torch.testing.assert_close(found.value, answer.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(sum_of_pushes(found) + found.constant, found.value, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("layers", "both"), [(1, False), (1, True), (2, False), (2, True)])
@pytest.mark.parametrize("pooling", HEADS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_linear_head_is_read_exactly_and_leaves_its_bias(kind, pooling, layers, both):
    packed = not kind.startswith("gw")
    model = Model(kind, pooling, packed=packed, num_layers=layers, bidirectional=both)
    inputs = (torch.randn(B, T, SIZE, **F64), torch.tensor(LENGTHS), states_for(model.rnn))
    found = readout(model, inputs, 2)
    assert_adds_up(found, model, model(*inputs)[:, 2])
    torch.testing.assert_close(found.constant, model.head.bias[2].detach().expand(B), atol=1e-12, rtol=0)
    assert list(found.weights) == ([layers - 1, (layers - 1, "reverse")] if both else [layers - 1])
    assert len(found.traces) == layers * (2 if both else 1)
    assert found.path == "rnn" and found.left_out == []


def test_the_weights_of_the_poolings_are_those_that_the_pooling_states():
    for pooling in HEADS:
        model = Model("gw_lstm", pooling, bidirectional=True)
        x, lengths = torch.randn(B, T, SIZE, **F64), torch.tensor(LENGTHS)
        found = readout(model, (x, lengths), 0)
        h = torch.cat([found.traces[0].h, found.traces[0, "reverse"].h], dim=-1)
        a = model.pooling.weights(h, lengths)
        expected = (a if a.dim() == 3 else a[..., None]) * model.head.weight[0].detach()
        for key, own in zip(found.weights, expected.chunk(2, dim=-1), strict=True):
            torch.testing.assert_close(found.weights[key], own, atol=1e-14, rtol=0)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_final_state_is_read_at_each_rows_last_processed_step(kind):
    cls, extra = LAYERS[kind]
    rnn = cls(SIZE, H, 2, bidirectional=True, **extra, **F64)
    model = ByFinalState(rnn, nn.Linear(2 * (rnn.proj_size or H), K, **F64))
    lengths = LENGTHS if kind.startswith("gw") else None
    inputs = {"x": torch.randn(T, B, SIZE, **F64), "lengths": lengths, "hx": states_for(rnn)}
    found = readout(model, inputs, 1)
    assert_adds_up(found, model, model(**inputs)[:, 1])
    torch.testing.assert_close(found.constant, model.head.bias[1].detach().expand(B), atol=1e-12, rtol=0)
    half = model.head.weight.shape[1] // 2
    for b, n in enumerate(lengths or [T] * B):
        torch.testing.assert_close(found.weights[1][n - 1, b], model.head.weight[1, :half].detach())
        torch.testing.assert_close(found.weights[1, "reverse"][0, b], model.head.weight[1, half:].detach())
        assert found.weights[1][:, b].any(-1).sum() == found.weights[1, "reverse"][:, b].any(-1).sum() == 1


def test_a_row_without_steps_leaves_what_its_initial_state_gives():
    model = ByFinalState(gwl.GRU(SIZE, H, **F64), nn.Linear(H, K, **F64))
    h0 = torch.rand(1, 2, H, **F64)
    found = readout(model, (torch.randn(T, 2, SIZE, **F64), [0, 4], h0), 0)
    expected = model.head(h0[0, 0])[0].detach()
    assert float(found.constant[0]) == pytest.approx(float(expected), rel=1e-12)
    assert not found.weights[0][:, 0].any()
    torch.testing.assert_close(sum_of_pushes(found) + found.constant, found.value, atol=1e-12, rtol=0)


def test_attention_is_linearised_at_the_point():
    model = Model("gw_lstm", "attention")
    x, lengths = torch.randn(B, T, SIZE, **F64), torch.tensor(LENGTHS)
    found = readout(model, (x, lengths), 0)
    assert_adds_up(found, model, model(x, lengths)[:, 0])
    # By hand: y = Σ a_t u_t + bias with u = v·h, a = softmax(k·h); ∂y/∂h_t = a_t v + a_t (u_t - Σ a u) k.
    h, v, k = found.traces[0].h, model.head.weight[0].detach(), model.pooling.score.weight[0].detach()
    a, u = model.pooling.weights(h, lengths).detach(), h @ v
    expected = a[..., None] * v + (a * (u - (a * u).sum(0)))[..., None] * k
    torch.testing.assert_close(found.weights[0], expected, atol=1e-14, rtol=0)


def test_a_hidden_layer_is_linearised_at_the_point():
    rnn = nn.LSTM(SIZE, H, **F64)
    head = nn.Sequential(nn.Linear(H, 8, **F64), nn.Tanh(), nn.Linear(8, K, **F64))
    model, x = ByFinalState(rnn, head), torch.randn(T, B, SIZE, **F64)
    found = readout(model, x, 1)
    assert_adds_up(found, model, model(x)[:, 1])
    inner, outer = head[0].weight.detach(), head[2].weight[1].detach()
    h = found.traces[0].h[-1]
    slope = 1 - torch.tanh(h @ inner.T + head[0].bias.detach()) ** 2
    torch.testing.assert_close(found.weights[0][-1], (slope * outer) @ inner, atol=1e-14, rtol=0)
    assert (found.constant - head[2].bias[1].detach()).abs().min() > 1e-4


def test_a_function_of_the_output_is_a_target():
    model = Model("lstm", "last", packed=True)
    x, lengths = torch.randn(B, T, SIZE, **F64), torch.tensor(LENGTHS)
    found = readout(model, (x, lengths), lambda y: y[:, 1] - y[:, 0])
    bias = (model.head.bias[1] - model.head.bias[0]).detach()
    torch.testing.assert_close(found.constant, bias.expand(B), atol=1e-12, rtol=0)
    odds = readout(model, (x, lengths), lambda y: y.log_softmax(1)[:, 0])
    assert_adds_up(odds, model, model(x, lengths).log_softmax(1)[:, 0])


def test_one_row_and_one_answer():
    rnn, x = nn.GRU(SIZE, H, **F64), torch.randn(T, SIZE, **F64)
    model = ByFinalState(rnn, nn.Linear(H, K, **F64))
    for target in (2, lambda y: y[2], lambda y: y[2:]):
        found = readout(model, x, target)
        assert found.value.shape == found.constant.shape == (1,)
        assert float(found.constant) == pytest.approx(float(model.head.bias[2].detach()), rel=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_the_input_of_the_top_layer_and_its_weights(layers, both):
    model = Model("lstm", "mean", num_layers=layers, bidirectional=both)
    x = torch.randn(B, T, SIZE, **F64)
    found = readout(model, (x, torch.full((B,), T)), 0)
    expected = x.transpose(0, 1)
    if layers == 2:
        expected = torch.cat([found.traces[k].h for k in ([0, (0, "reverse")] if both else [0])], dim=-1)
    assert torch.equal(found.x, expected)
    for key, w_ih in found.w_ih.items():
        end = f"_l{layers - 1}" + ("_reverse" if isinstance(key, tuple) else "")
        assert torch.equal(w_ih, getattr(model.rnn, "weight_ih" + end)) and not w_ih.requires_grad
        # The trace's own gate from the two: σ(W_i x + U_i h + b) at the first step, where h = 0.
        lt, first = found.traces[key], -1 if isinstance(key, tuple) else 0
        b = getattr(model.rnn, "bias_ih" + end) + getattr(model.rnn, "bias_hh" + end)
        pre = found.x[first] @ w_ih[:H].T + b[:H]
        torch.testing.assert_close(lt.i[first], pre.sigmoid().detach(), atol=1e-14, rtol=0)


class Nested(nn.Module):
    """An encoder, a decoder, and a skip past both."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(SIZE, H, **F64)
        self.decoder = gwl.GRU(H, 4, **F64)
        self.head = nn.Linear(4, K, **F64)

    def forward(self, x):
        return self.head(self.decoder(self.encoder(x)[0])[0][-1]) + 2 * x[-1]


def test_the_last_module_is_read_unless_another_is_named():
    model, x = Nested(), torch.randn(T, B, SIZE, **F64)
    top = readout(model, x, 0)
    assert top.path == "decoder" and top.traces[0].cell == "gru"
    torch.testing.assert_close(
        top.constant, (model.head.bias[0] + 2 * x[-1, :, 0]).detach(), atol=1e-12, rtol=0
    )
    lower = readout(model, x, 0, at="encoder")
    assert_adds_up(lower, model, model(x)[:, 0])
    # Through the decoder, by autograd on the encoder's output as a leaf.
    leaf = model.encoder(x)[0].detach().requires_grad_()
    (expected,) = torch.autograd.grad(model.head(model.decoder(leaf)[0][-1])[:, 0].sum(), leaf)
    torch.testing.assert_close(lower.weights[0], expected, atol=1e-14, rtol=0)


def test_what_else_of_the_module_is_read_is_left_out_and_named():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.LSTM(SIZE, H, 3, **F64), nn.Linear(H, K, **F64)

        def forward(self, x):
            output, (h_n, c_n) = self.rnn(x)
            return self.head(output[-1]), h_n[0].sum(-1), c_n[2].sum(-1)

    model, x = Both(), torch.randn(T, B, SIZE, **F64)
    answers, (of_h, of_c) = model(x)[0].detach(), [part.detach() for part in model(x)[1:]]
    bias = model.head.bias[0].detach()
    found = readout(model, x, lambda r: r[0][:, 0] + r[2])
    assert found.left_out == ["the answer also reads the final cell state c_n, which these weights leave out"]
    torch.testing.assert_close(found.constant, bias + of_c, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.value, answers[:, 0] + of_c, atol=1e-12, rtol=0)
    found = readout(model, x, lambda r: r[0][:, 0] + r[1])
    assert found.left_out == [
        "the answer also reads the final hidden state h_n of layer 0, below the top; these weights leave it out"
    ]
    torch.testing.assert_close(found.constant, bias + of_h, atol=1e-12, rtol=0)


@pytest.mark.parametrize("cls", [nn.LSTM, gwl.LSTM])
def test_float32_and_frozen_weights(cls):
    model = ByFinalState(cls(8, 16, 2, bidirectional=True), nn.Linear(32, K)).requires_grad_(False)
    x = torch.randn(40, B, 8)
    with torch.no_grad():
        found = readout(model, x, 1)
    total = found.constant.clone()
    for key, weights in found.weights.items():
        sums = push_ledger(found.traces[key], weights, torch.ones(16))
        total += (sums.push.sum(0) + sums.initial).double()
        assert ledger(found.traces[key]).residual <= 1e-5
    torch.testing.assert_close(total, found.value, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.constant, model.head.bias[1].double().expand(B), atol=1e-6, rtol=0)


def test_what_lies_beyond_a_length_is_not_read():
    class Loose(nn.Module):
        """Reads every step, also beyond the lengths, where the layer's output is zero."""

        def __init__(self):
            super().__init__()
            self.rnn = gwl.LSTM(SIZE, H, **F64)

        def forward(self, x, lengths):
            return (self.rnn(x, lengths=lengths)[0] + 1).sum((0, 2))

    found = readout(Loose(), (torch.randn(T, B, SIZE, **F64), LENGTHS), lambda y: y)
    for b, n in enumerate(LENGTHS):
        assert (found.weights[0][:n, b] == 1).all() and not found.weights[0][n:, b].any()
    torch.testing.assert_close(found.constant, torch.full((B,), float(T * H), **F64), atol=1e-12, rtol=0)


def test_a_plain_rnn_can_be_read():
    model = ByFinalState(nn.RNN(SIZE, H, **F64), nn.Linear(H, K, **F64))
    found = readout(model, torch.randn(T, B, SIZE, **F64), 0)
    torch.testing.assert_close(found.constant, model.head.bias[0].detach().expand(B), atol=1e-12, rtol=0)


class Wrapped(nn.Module):
    """Calls a recurrent module and hands its output to a function."""

    def __init__(self, rnn, then):
        super().__init__()
        self.rnn, self.then = rnn, then

    def forward(self, x):
        return self.then(self, x)


def twice(model, x):
    return model.rnn(model.rnn(x)[0])[0][-1]


LAST = ByFinalState(nn.LSTM(SIZE, H), nn.Linear(H, K))
CELL = Wrapped(GRUCell(SIZE, H), lambda m, x: m.rnn(x[0]))


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        (LAST, 3, r"^target is 3; the model has 3 outputs, 0 to 2$"),
        (LAST, -1, r"^target is -1; the model has 3 outputs, 0 to 2$"),
        (LAST, True, r"^target is True; it is an index of the output or a function of it$"),
        (LAST, "positive", r"^target is 'positive'; it is an index"),
        (nn.LSTM(SIZE, H), 0, r"^the model returned a tuple, which has no output 0; give a function"),
        (
            Wrapped(nn.GRU(SIZE, H), lambda m, x: m.rnn(x)[0]),
            0,
            r"^the output has shape \(6, 4, 5\); an index takes \[4, K\] with 4 rows, so give a function",
        ),
        (
            Wrapped(nn.GRU(SIZE, H), lambda m, x: m.rnn(x)[0].sum((0, 2))),
            0,
            r"^the output has shape \(4,\); an index takes \[4, K\]",
        ),
        (LAST, lambda y: 1.0, r"^the target function returned a float; it must return a tensor \[4\]$"),
        (LAST, lambda y: y.sum(), r"^the target function returned shape \(\); with 4 rows it must be \[4\]"),
        (LAST, lambda y: y, r"^the target function returned shape \(4, 3\); with 4 rows it must be \[4\]"),
        (LAST, lambda y: y.detach()[:, 0], r"^no gradient connects the answer with the output of rnn; an index"),
        (
            LAST,
            lambda y: y.argmax(1),
            r"^no gradient connects the answer with the output of rnn",
        ),
        (
            Wrapped(nn.GRU(SIZE, H), lambda m, x: (m.rnn(x), x.sum((0, 2), keepdim=True)[0] * x.new_ones(4, 1))[1]),
            0,
            r"^no gradient connects the answer with the output of rnn",
        ),
        (Wrapped(nn.GRU(SIZE, SIZE), twice), 0, r"^rnn was called 2 times; a readout takes a module that is called"),
        (Wrapped(nn.GRU(SIZE, H), lambda m, x: x[-1]), 0, r"^rnn was called 0 times"),
        (CELL, 0, r"^rnn is a GRUCell that is called step by step"),
        (nn.Linear(SIZE, K), 0, r"^Linear holds no recurrent layer"),
        (
            ByFinalState(nn.LSTM(SIZE, H, 2, dropout=0.5), nn.Linear(H, K)),
            0,
            r"^rnn: dropout 0\.5 between its 2 layers is on in training mode.*model\.eval\(\)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_a_sentence(model, target, message):
    with pytest.raises(UsageError, match=message):
        readout(model, torch.randn(T, B, SIZE), target)


def test_a_path_that_is_no_layer_is_refused():
    with pytest.raises(
        UsageError, match=r"^there is no recurrent layer at 'body'; there are 'encoder', 'decoder'$"
    ):
        readout(Nested(), torch.randn(T, B, SIZE, **F64), 0, at="body")
