"""Attribution: every method against what defines it, and how far its scores are from the answer."""

import math

import numpy as np
import pytest
import torch
from oracle import Params
from oracle.phrases import decompose
from oracle.relevance import gru_relevance, lstm_relevance
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import attribute, decompose_phrase, push_ledger, readout, record, sum_groups
from gatewise.memory.attribution import METHODS

F64 = {"dtype": torch.float64}
T, B, SIZE, H, K = 6, 4, 3, 5, 2
LENGTHS = [6, 1, 3, 5]
EXACT = ["push", "beta", "gamma"]
LSTMS = {
    "lstm": (nn.LSTM, {}),
    "deep": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "gw_projected": (gwl.LSTM, {"proj_size": 2, "bidirectional": True}),
}
GRUS = {
    "gru": (nn.GRU, {}),
    "gw_reset_before": (gwl.GRU, {"reset_after": False}),
    "gw_deep": (gwl.GRU, {"num_layers": 2, "bidirectional": True}),
}
RNNS = {"rnn": (nn.RNN, {}), "relu": (gwl.RNN, {"nonlinearity": "relu", "bidirectional": True})}
CELLS = LSTMS | GRUS | RNNS


class Model(nn.Module):
    """A recurrent module, its last states or the mean of its steps, a linear layer; batch first throughout."""

    def __init__(self, kind="lstm", *, pooling="last", scale=1.0, **more):
        super().__init__()
        cls, options = CELLS[kind]
        self.rnn = cls(SIZE, H, batch_first=True, **options, **more, **F64)
        self.directions = 2 if self.rnn.bidirectional else 1
        self.head = nn.Linear((self.rnn.proj_size or H) * self.directions, K, **F64)
        self.pooling = pooling
        with torch.no_grad():
            for p in self.rnn.parameters():
                p *= scale

    def forward(self, x, lengths=None, hx=None):
        if lengths is None:
            h, states = self.rnn(x, hx)
        elif isinstance(self.rnn, gwl.base.Recurrent):
            h, states = self.rnn(x, hx, lengths)
        else:
            packed, states = self.rnn(
                pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), hx
            )
            h, _ = pad_packed_sequence(packed, batch_first=True)
        if self.pooling == "mean":
            return self.head(
                h.sum(1) / (torch.full((len(x),), T) if lengths is None else torch.tensor(lengths))[:, None]
            )
        h_n = states[0] if isinstance(states, tuple) else states
        return self.head(torch.cat(list(h_n[-self.directions :]), dim=-1))


def states_for(rnn, rows=B):
    count = rnn.num_layers * (2 if rnn.bidirectional else 1)
    h0 = torch.rand(count, rows, rnn.proj_size or H, **F64)
    return (h0, torch.rand(count, rows, H, **F64)) if rnn.mode == "LSTM" else h0


def inputs_for(model, lengths=LENGTHS):
    return torch.randn(B, T, SIZE, **F64), lengths, states_for(model.rnn)


def params_of(rnn, end="_l0"):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return Params(*(getattr(rnn, name + end).detach().numpy() for name in names))


def methods_of(kind):
    return list(METHODS) if kind in ("lstm", "gw_projected") else [
        m for m in METHODS
        if m != "cd" and (kind in LSTMS or m not in ("beta", "gamma")) and (kind not in RNNS or m != "push")
    ]  # fmt: skip


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("kind", CELLS)
def test_scores_rest_and_residual_are_the_answer_and_padding_has_none(kind, pooling):
    model = Model(kind, pooling=pooling, scale=2.0)
    inputs = inputs_for(model)
    answer = model(*inputs)[:, 1].detach()
    for method in methods_of(kind):
        found = attribute(model, inputs, 1, method, points=24)
        torch.testing.assert_close(found.value, answer, atol=1e-12, rtol=0)
        assert found.scores.shape == (T, B) and found.scores.dtype == torch.float64
        for b, n in enumerate(LENGTHS):
            assert not found.scores[n:, b].any() and found.scores[:n, b].all()
        if found.by_variable is not None:
            assert found.by_variable.shape == (T, B, SIZE)
            torch.testing.assert_close(found.by_variable.sum(-1), found.scores, atol=1e-14, rtol=0)
        if method in (*EXACT, "ig"):
            # The nodes of ig integrate these smooth functions to rounding, relu with its corners does not.
            assert found.residual.abs().max() <= (5e-2 if kind == "relu" and method == "ig" else 1e-12)


def by_sums(lt, weights, differences):
    """Σ over readings t and units of a_t⊙v⊙o_t times what `differences(t, s)` gives, for every step s."""
    found = torch.zeros(T, B, **F64)
    for b in range(B):
        n = int(lt.full_lengths()[b])
        order = list(range(n))[::-1] if lt.reverse else list(range(n))
        for k, t in enumerate(order):
            v = weights[t, b] if lt.w_hr is None else weights[t, b] @ lt.w_hr
            for j in range(k + 1):
                found[order[j], b] += (v * lt.o[t, b] * differences(lt, b, order, k, j)).sum()
    return found


def beta_difference(lt, b, order, k, j):
    old = lt.c[order[j - 1], b] if j else lt.c0[b]
    return lt.c[order[j], b].tanh() - old.tanh()


def gamma_difference(lt, b, order, k, j):
    def kept(position):  # the product of the forget gates after it, up to the reading
        return math.prod((lt.f[order[r], b] for r in range(position + 1, k + 1)), start=torch.ones(H, **F64))

    old = lt.c[order[j - 1], b] if j else lt.c0[b]
    return (kept(j) * lt.c[order[j], b]).tanh() - (kept(j - 1) * old).tanh()


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("kind", LSTMS)
@pytest.mark.parametrize(("method", "difference"), [("beta", beta_difference), ("gamma", gamma_difference)])
def test_beta_and_gamma_are_their_formulas(method, difference, kind, pooling):
    model = Model(kind, pooling=pooling, scale=3.0)
    inputs = inputs_for(model)
    read = readout(model, inputs, 0)
    expected = sum(by_sums(read.traces[key], weights, difference) for key, weights in read.weights.items())
    found = attribute(model, inputs, 0, method)
    torch.testing.assert_close(found.scores, expected, atol=1e-13, rtol=0)


def test_beta_and_gamma_of_the_example_in_the_docs():
    # c = 0.4, 0.16, 0.228 and f = 0.5, 0.9, 0.8; the answer is 2·h_3 = 1.8·tanh(c_3).
    lstm = nn.LSTM(3, 1, bias=False, **F64)
    i, f, g, o = ([0.8, 0.5, 0.5], [0.5, 0.9, 0.8], [0.5, -0.4, 0.2], [0.5, 0.5, 0.9])
    rows = [
        torch.tensor(i).logit(),
        torch.tensor(f).logit(),
        torch.tensor(g).atanh(),
        torch.tensor(o).logit(),
    ]
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
        lstm.weight_ih_l0.copy_(torch.stack(rows))
    tanh, x = math.tanh, torch.eye(3, **F64)[:, None]
    beta = [tanh(0.4), tanh(0.16) - tanh(0.4), tanh(0.228) - tanh(0.16)]
    gamma = [tanh(0.288), tanh(0.128) - tanh(0.288), tanh(0.228) - tanh(0.128)]
    for method, expected in (("beta", beta), ("gamma", gamma)):
        found = attribute(lstm, x, lambda result: 2 * result[0][-1, :, 0], method)
        torch.testing.assert_close(found.scores[:, 0], 1.8 * torch.tensor(expected, **F64), atol=1e-7, rtol=0)


def test_push_is_that_of_the_ledger():
    model = Model("deep", pooling="mean")
    inputs = inputs_for(model)
    read = readout(model, inputs, 1)
    ledgers = [push_ledger(read.traces[k], w, torch.ones(H, **F64)) for k, w in read.weights.items()]
    found = attribute(model, inputs, 1)
    assert found.method == "push" and found.path == "rnn" and found.left_out == []
    torch.testing.assert_close(found.scores, ledgers[0].push + ledgers[1].push)
    rest = read.constant + ledgers[0].initial + ledgers[1].initial
    torch.testing.assert_close(found.rest, rest)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_contextual_decomposition_is_the_oracles(pooling, both):
    model = Model(pooling=pooling, scale=3.0, bidirectional=both)
    inputs = inputs_for(model)
    x, _, (h0, c0) = inputs
    read = readout(model, inputs, 1)

    def oracle(b, phrase):
        """What a phrase and its rest add to the answer of a row."""
        of_phrase = of_rest = 0.0
        for d, weights in enumerate(read.weights.values()):
            order = range(LENGTHS[b])[:: -1 if d else 1]
            marked = {k for k, t in enumerate(order) if t in phrase}
            params = params_of(model.rnn, "_l0_reverse" if d else "_l0")
            parts = decompose(x[b, list(order)].numpy(), h0[d, b].numpy(), c0[d, b].numpy(), params, marked)
            reads = weights[list(order), b].numpy()
            of_phrase, of_rest = (
                total + float((part * reads).sum())
                for total, part in zip((of_phrase, of_rest), parts, strict=True)
            )
        return of_phrase, of_rest

    single = attribute(model, inputs, 1, "cd")
    for b, n in enumerate(LENGTHS):
        expected = [oracle(b, {t})[0] for t in range(n)]
        np.testing.assert_allclose(single.scores[:n, b].numpy(), expected, atol=1e-13, rtol=0)
    phrase = torch.tensor([False, True, True, False, True, False])
    found = decompose_phrase(model, inputs, 1, phrase)
    expected = np.array([oracle(b, {1, 2, 4}) for b in range(B)])
    np.testing.assert_allclose(found.phrase.numpy(), expected[:, 0], atol=1e-13, rtol=0)
    np.testing.assert_allclose(found.rest.numpy(), expected[:, 1], atol=1e-13, rtol=0)
    assert found.residual.abs().max() <= 1e-13


def test_the_whole_text_as_a_phrase_leaves_nothing_to_the_rest():
    model = Model(scale=3.0)
    x = torch.randn(B, T, SIZE, **F64)
    everything = decompose_phrase(model, x, 0, torch.ones(T, dtype=torch.bool))
    nothing = decompose_phrase(model, x, 0, torch.zeros(T, B, dtype=torch.bool))
    torch.testing.assert_close(everything.phrase, everything.value - everything.constant, atol=1e-13, rtol=0)
    assert everything.rest.abs().max() <= 1e-15 and nothing.phrase.abs().max() <= 1e-15
    torch.testing.assert_close(nothing.rest, everything.phrase, atol=1e-13, rtol=0)


def test_contextual_decomposition_in_portions(monkeypatch):
    model = Model(scale=3.0)
    inputs = inputs_for(model)
    whole = attribute(model, inputs, 0, "cd").scores
    monkeypatch.setattr("gatewise.memory.attribution.contextual_decomposition.ROWS", 2 * B)
    torch.testing.assert_close(attribute(model, inputs, 0, "cd").scores, whole, atol=1e-15, rtol=0)


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "gw_reset_before"])
def test_relevance_is_the_oracles(kind, pooling):
    model = Model(kind, pooling=pooling, scale=2.0)
    inputs = inputs_for(model)
    x, _, states = inputs
    read, found = readout(model, inputs, 1), attribute(model, inputs, 1, "lrp")
    of_h = (read.weights[0] * read.traces[0].h).numpy()
    for b, n in enumerate(LENGTHS):
        row, params = x[b, :n].numpy(), params_of(model.rnn)
        if kind == "lstm":
            h0, c0 = (s[0, b].numpy() for s in states)
            of_x, initial = lstm_relevance(row, h0, c0, params, of_h[:n, b], 1e-3)
        else:
            of_x, initial = gru_relevance(
                row, states[0, b].numpy(), params, of_h[:n, b], 1e-3, reset_after=kind == "gru"
            )
        np.testing.assert_allclose(found.by_variable[:n, b].numpy(), of_x, atol=1e-10, rtol=1e-8)
        assert float(found.rest[b] - read.constant[b]) == pytest.approx(initial, abs=1e-10)


def test_relevance_through_two_layers_and_directions_is_that_of_one_layer_after_the_other():
    model = Model("deep", scale=2.0)
    x = torch.randn(B, T, SIZE, **F64)
    read, found = readout(model, x, 0), attribute(model, x, 0, "lrp")
    zero = np.zeros(H)

    def of_layer(layer, b, inputs, of_h):
        """From relevances of h by direction [T, H] to that of the layer's input."""
        forward, _ = lstm_relevance(inputs, zero, zero, params_of(model.rnn, f"_l{layer}"), of_h[0], 1e-3)
        back = params_of(model.rnn, f"_l{layer}_reverse")
        reverse, _ = lstm_relevance(inputs[::-1], zero, zero, back, of_h[1][::-1], 1e-3)
        return forward + reverse[::-1]

    for b in range(B):
        below = read.x[:, b].numpy()
        top = [(read.weights[k] * read.traces[k].h)[:, b].numpy() for k in (1, (1, "reverse"))]
        of_below = of_layer(1, b, below, top)
        expected = of_layer(0, b, x[b].numpy(), np.split(of_below, 2, axis=1))
        np.testing.assert_allclose(found.by_variable[:, b].numpy(), expected, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_series_of_one_variable_and_two_directions(method):
    model, x = nn.LSTM(1, H, bidirectional=True, **F64), torch.randn(T, B, 1, **F64)
    found = attribute(model, x, lambda result: result[0].sum((0, 2)), method)
    assert found.scores.all()
    assert found.by_variable is None or torch.equal(found.by_variable[..., 0], found.scores)


def test_relevance_is_kept_where_there_are_no_biases(monkeypatch):
    # Without biases only ε takes a share; as it shrinks, all relevance arrives.
    shares = []
    for epsilon in (1e-3, 1e-6, 1e-9):
        monkeypatch.setattr("gatewise.memory.attribution.lrp.EPSILON", epsilon)
        torch.manual_seed(3)
        for kind in ("lstm", "gw_projected", "gw_deep", "gw_reset_before", "rnn"):
            model = Model(kind, bias=False, scale=2.0)
            x = torch.randn(B, T, SIZE, **F64)
            found = attribute(model, x, 1, "lrp")
            shares.append((epsilon, float(found.residual.abs().max())))
    assert max(r for epsilon, r in shares if epsilon == 1e-9) <= 1e-5
    assert min(r for epsilon, r in shares if epsilon == 1e-3) > 1e-5


def linear_model(kind="relu"):
    """relu(W x + U h) with weights and inputs of one sign is linear; what it does is known exactly."""
    model = Model("relu", bias=False)
    with torch.no_grad():
        for p in model.rnn.parameters():
            p.abs_()
    return model, torch.rand(B, T, SIZE, **F64)


@pytest.mark.parametrize("method", ["ig", "occlusion", "lrp"])
def test_what_is_linear_is_shared_out_exactly(method, monkeypatch):
    # y = Σ_t v·U^(T-t) W x_t + bias: each step's own term.
    monkeypatch.setattr("gatewise.memory.attribution.lrp.EPSILON", 1e-13)
    model, x = linear_model()
    expected = torch.zeros(T, B, SIZE, **F64)
    for d, end in enumerate(("_l0", "_l0_reverse")):
        w, u = (getattr(model.rnn, name + end).detach() for name in ("weight_ih", "weight_hh"))
        reads = model.head.weight[1, d * H : (d + 1) * H].detach()
        for t in range(T)[:: 1 if d else -1]:
            expected[t] += (reads @ w) * x[:, t]
            reads = reads @ u
    found = attribute(model, x, 1, method, points=1)
    torch.testing.assert_close(found.scores, expected.sum(-1), atol=1e-11, rtol=0)
    torch.testing.assert_close(found.rest, model.head.bias[1].detach().expand(B), atol=1e-12, rtol=0)
    if method != "occlusion":
        torch.testing.assert_close(found.by_variable, expected, atol=1e-11, rtol=0)
    assert found.residual.abs().max() <= 1e-10


def test_integrated_gradients_from_a_baseline():
    model = Model("gru", scale=2.0)
    x, start = torch.randn(B, T, SIZE, **F64), torch.randn(T, B, SIZE, **F64)
    found = attribute(model, x, 0, "ig", baseline=start)
    torch.testing.assert_close(found.rest, model(start.transpose(0, 1))[:, 0].detach(), atol=1e-14, rtol=0)
    # By the midpoint rule with plain autograd on the model's own input, all points as one batch.
    alpha = ((torch.arange(400, **F64) + 0.5) / 400)[:, None, None, None]
    points = start.transpose(0, 1).lerp(x, alpha).flatten(0, 1).requires_grad_()
    (gradients,) = torch.autograd.grad(model(points)[:, 0].sum(), points)
    mean = gradients.unflatten(0, (400, B)).mean(0)  # [B, T, I]
    expected = ((x - start.transpose(0, 1)) * mean).transpose(0, 1)
    torch.testing.assert_close(found.by_variable, expected, atol=1e-5, rtol=0)
    coarse = attribute(model, x, 0, "ig", baseline=start, points=2).residual.abs().max()
    assert coarse > 1e-6 and found.residual.abs().max() <= 1e-13


def test_integrated_gradients_are_captums():
    captum = pytest.importorskip("captum.attr", exc_type=ImportError)
    model = Model("deep", scale=2.0)
    x, start = torch.randn(B, T, SIZE, **F64), torch.randn(T, B, SIZE, **F64)
    given = captum.IntegratedGradients(model).attribute(
        x, baselines=start.transpose(0, 1), target=1, n_steps=20, method="gausslegendre"
    )
    found = attribute(model, x, 1, "ig", baseline=start, points=20)
    # Captum rounds the weights of the nodes to float32.
    torch.testing.assert_close(found.by_variable, given.transpose(0, 1), atol=1e-8, rtol=0)


def test_occlusion_is_the_change_of_the_answer():
    model = Model("deep", scale=2.0)
    x, start = torch.randn(B, T, SIZE, **F64), torch.randn(SIZE, **F64)
    found = attribute(model, x, 0, "occlusion", baseline=start)
    for t in range(T):
        without = x.clone()
        without[:, t] = start
        torch.testing.assert_close(
            found.scores[t], (model(x) - model(without))[:, 0].detach(), atol=1e-14, rtol=0
        )
    torch.testing.assert_close(found.rest, model(start.expand_as(x))[:, 0].detach(), atol=1e-14, rtol=0)


class Words(nn.Module):
    """Embeds ids, drops some, and hands the embeddings past the layer too; one text without a batch can be read."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(9, SIZE, **F64), nn.Dropout(0.5)
        self.rnn, self.head = gwl.LSTM(SIZE, H, 2, dropout=0.5, **F64), nn.Linear(H, K, **F64)

    def forward(self, *, ids):
        x = self.dropout(self.embedding(ids))
        return self.head(self.rnn(input=x)[0][-1]) + x.sum(0)[..., :K]


@pytest.mark.parametrize("method", ["push", "gamma", "lrp", "ig", "occlusion"])
def test_a_model_of_words_is_explained_in_eval_mode_and_left_as_it_was(method):
    model = Words().train()
    model.embedding.eval()
    before, ids = {name: p.clone() for name, p in model.state_dict().items()}, torch.randint(9, (T, B))
    with torch.inference_mode():
        found = attribute(model, {"ids": ids}, 1, method, points=12)
    assert model.training and model.rnn.training and not model.embedding.training
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not model.rnn._forward_hooks and not model.rnn._forward_pre_hooks and not model.rnn.watchers
    model.eval()
    torch.testing.assert_close(found.value, model(ids=ids)[:, 1].detach(), atol=1e-14, rtol=0)
    alone = attribute(model, {"ids": ids[:, 2]}, 1, method, points=12)
    torch.testing.assert_close(alone.scores[:, 0], found.scores[:, 2], atol=1e-13, rtol=0)
    # What goes past the layer is not the layer's: it stands in the rest.
    past = model.embedding(ids).sum(0)[:, 1].detach()
    if method in ("ig", "occlusion"):
        with_nothing = model.head(model.rnn(torch.zeros(T, B, SIZE, **F64))[0][-1])[:, 1].detach()
        torch.testing.assert_close(found.rest, with_nothing + past, atol=1e-13, rtol=0)
    else:
        torch.testing.assert_close(found.rest, model.head.bias[1].detach() + past, atol=1e-13, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_float32(method):
    model = Model(scale=2.0).float()
    x = torch.randn(B, 30, SIZE)
    found = attribute(model, x, 1, method, points=12)
    exact = attribute(model.double(), x.double(), 1, method, points=12)
    torch.testing.assert_close(found.scores, exact.scores, atol=2e-4 if method == "lrp" else 2e-6, rtol=0)
    if method in (*EXACT, "ig"):
        assert found.residual.abs().max() <= 1e-6


@pytest.mark.parametrize(
    "variant", [{"peephole": True}, {"coupled": True}, {"zoneout": (0.2, 0.0)}, {"layer_norm": True}]
)
def test_variants_of_the_cell_for_the_methods_that_take_them(variant):
    model = Model("gw_projected", **variant)
    x = torch.randn(B, T, SIZE, **F64)
    assert attribute(model, x, 1, "push").residual.abs().max() <= 1e-12
    jumps = bool(
        variant.get("layer_norm")
    )  # what is normalised is of one size, however near the input is to zeros
    unexplained = float(attribute(model, x, 1, "ig", points=24).residual.abs().max())
    assert unexplained > 1e-3 if jumps else unexplained <= 1e-12
    without = x.clone()
    without[:, 2] = 0
    change = (model.eval()(x) - model(without))[:, 1].detach()
    torch.testing.assert_close(attribute(model, x, 1, "occlusion").scores[2], change, atol=1e-14, rtol=0)


def test_steps_are_summed_by_group():
    scores, parts = torch.randn(T, B, **F64), torch.randn(T, B, SIZE, **F64)
    days = torch.tensor([0, 0, 2, -1, 2, 2])
    found = sum_groups(scores, days)
    expected = torch.stack([scores[:2].sum(0), torch.zeros(B, **F64), scores[[2, 4, 5]].sum(0)])
    torch.testing.assert_close(found, expected)
    by_row = torch.stack([days, days.flip(0), torch.full((T,), -1), torch.arange(T)], dim=1)
    found = sum_groups(parts, by_row)
    assert found.shape == (T, B, SIZE) and not found[:, 2].any()
    torch.testing.assert_close(found[:, 3], parts[:, 3])
    torch.testing.assert_close(found[2, 1], parts[[0, 1, 3], 1].sum(0))
    assert sum_groups(scores, torch.full((T,), -1)).shape == (0, B)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (torch.zeros(T), r"^groups hold torch\.float32; they take whole numbers$"),
        (torch.zeros(T, 2, dtype=torch.int64), r"^groups have shape \(6, 2\); they take \[6\] or \[6, 4\]$"),
        (torch.full((T,), -2), r"^groups hold -2; a group is 0 or more, or -1 for none$"),
    ],
)
def test_groups_that_are_none_are_refused(groups, message):
    with pytest.raises(UsageError, match=message):
        sum_groups(torch.zeros(T, B), groups)


@pytest.mark.parametrize(
    ("kind", "more", "method", "message"),
    [
        ("lstm", {}, "shap", r"^method is 'shap'; it can be 'push', 'beta', 'gamma', 'cd', 'lrp', 'ig', 'occlusion'$"),
        ("gru", {}, "beta", r"^rnn: beta is not defined for the cell gru: it takes differences of the tanh"),
        ("gw_reset_before", {}, "gamma", r"^rnn: gamma is not defined for the cell gru_reset_before: "),
        ("gru", {}, "cd", r"^rnn: cd is not defined for the cell gru: its equations split the gates and the cell"),
        ("rnn", {}, "push", r"^rnn: push is not defined for the cell rnn_tanh: it keeps no sum of what its steps"),
        ("deep", {}, "cd", r"^rnn: cd is defined for an LSTM of one layer, and this one has 2$"),
        ("gw_projected", {"peephole": True}, "beta", r"^rnn: beta is defined for the plain lstm, and this call has"),
        ("gw_projected", {"coupled": True}, "cd", r"^rnn: cd is defined for the plain lstm, and this call has coup"),
        ("gw_projected", {"layer_norm": True}, "lrp", r"^rnn: lrp is defined for the plain lstm.* has layer_norm"),
    ],
)  # fmt: skip
def test_a_method_that_is_not_defined_is_refused_by_name(kind, more, method, message):
    with pytest.raises(UsageError, match=message):
        attribute(Model(kind, **more), torch.randn(B, T, SIZE, **F64), 1, method)


def test_arguments_that_do_not_fit_are_refused():
    model, x = Model(), torch.randn(B, T, SIZE, **F64)
    for baseline, shape in ((torch.zeros(2), r"\(2,\)"), (torch.zeros(1, T, B, SIZE), r"\(1, 6, 4, 3\)")):
        with pytest.raises(
            UsageError, match=rf"^baseline has shape {shape}; it takes \[3\] or \[6, 4, 3\], the input"
        ):
            attribute(model, x, 1, "ig", baseline=baseline)
    with pytest.raises(UsageError, match=r"^points is 0; the quadrature takes 1 or more$"):
        attribute(model, x, 1, "ig", points=0)
    for phrase in (torch.zeros(T), torch.zeros(2, dtype=torch.bool)):
        with pytest.raises(
            UsageError, match=r"^phrase is torch\.\w+ \[\d\]; it takes bool \[6\] or \[6, 4\]$"
        ):
            decompose_phrase(model, x, 1, phrase)
    with pytest.raises(UsageError, match=r"^rnn: cd is not defined for the cell gru"):
        decompose_phrase(Model("gru"), x, 1, torch.zeros(T, dtype=torch.bool))


def test_resets_are_refused_where_the_method_has_none():
    class Segments(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = gwl.LSTM(SIZE, H, **F64)

        def forward(self, x):
            starts = torch.zeros(T, B, dtype=torch.bool)
            starts[2] = True
            return self.rnn(x, resets=starts)[0][-1]

    model, x = Segments(), torch.randn(T, B, SIZE, **F64)
    with pytest.raises(
        UsageError, match=r"^rnn: lrp is defined for the plain lstm, and this call has resets; push"
    ):
        attribute(model, x, 1, "lrp")
    for method in ("push", "ig", "occlusion"):
        found = attribute(model, x, 1, method)
        assert not found.scores[:2].any() and found.scores[2:].all()


def test_an_input_that_no_gradient_reaches():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(SIZE, H, **F64)

        def forward(self, x):
            with torch.no_grad():
                h = self.rnn(x)[0]
            return h[-1]

    model, x = Frozen(), torch.randn(T, B, SIZE, **F64)
    with pytest.raises(
        UsageError, match=r"^no gradient connects the answer with the input of rnn; a no_grad or"
    ):
        attribute(model, x, 1, "ig")
    assert attribute(model, x, 1, "occlusion").scores.any()


def test_what_else_the_answer_reads_is_named():
    model, x = nn.LSTM(SIZE, H, 2, **F64), torch.randn(T, B, SIZE, **F64)
    with record(model) as trace:
        model(x)
    found = attribute(model, x, lambda result: result[0][-1].sum(-1) + result[1][1][1].sum(-1))
    assert found.left_out == ["the answer also reads the final cell state c_n, which these weights leave out"]
    torch.testing.assert_close(found.rest, trace[""][1].c[-1].sum(-1))
