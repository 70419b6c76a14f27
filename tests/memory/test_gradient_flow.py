"""The gradient by every state against autograd on the cells, unrolled row by row with every state a node of its own."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from record_cases import Nest, cell_of
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise import layers as gwl
from gatewise.cells import CELLS, LSTMCell
from gatewise.errors import UsageError
from gatewise.memory import gradient_flow, record

F64 = {"dtype": torch.float64}
T, B, SIZE = 7, 4, 3
RAGGED = [7, 1, 0, 4]
KINDS = {
    "lstm": (nn.LSTM, {}),
    "lstm_projected": (nn.LSTM, {"proj_size": 2}),
    "no_bias": (nn.LSTM, {"bias": False}),
    "gru": (nn.GRU, {}),
    "rnn_tanh": (nn.RNN, {}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gw_lstm": (gwl.LSTM, {}),
    "gw_lstm_projected": (gwl.LSTM, {"proj_size": 2}),
    "gw_gru": (gwl.GRU, {}),
    "gw_gru_no_bias": (gwl.GRU, {"bias": False}),
    "gw_gru_reset_before": (gwl.GRU, {"reset_after": False}),
    "gw_rnn_tanh": (gwl.RNN, {}),
    "gw_rnn_relu": (gwl.RNN, {"nonlinearity": "relu"}),
}


def build(kind, **options):
    cls, extra = KINDS[kind]
    return cls(SIZE, 5, **extra, **options, **F64)


def weights_of(module, layer, d):
    end = f"_l{layer}" + ("_reverse" if d else "")
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + ["weight_hr"] * ("LSTM" in module.mode)
    return [getattr(module, name + end, None) for name in names]


class Row:
    """One row of a batch through all layers, step by step; every state keeps its gradient."""

    def __init__(self, module, x, h0, c0):
        cell = CELLS[cell_of(module)]
        directions = 2 if module.bidirectional else 1
        self.h, self.c, self.f, self.o = {}, {}, {}, {}  # lists over time by (layer, direction)
        self.seen = []  # what each layer shows: [n] tensors [D*P]
        self.h_n, self.c_n = [], []
        inputs = list(x)
        for layer in range(module.num_layers):
            for d in range(directions):
                k, place = layer * directions + d, (layer, d)
                state = (h0[k], c0[k]) if cell.has_c else (h0[k],)
                kept = {}
                order = range(len(inputs))
                for t in reversed(order) if d else order:
                    step = cell.step(inputs[t], *state, *weights_of(module, layer, d))
                    state = (step.h, step.c) if cell.has_c else (step.h,)
                    for s in state:
                        s.retain_grad()
                    kept[t] = step
                self.h[place] = [kept[t].h for t in order]
                self.c[place] = [kept[t].c for t in order] if cell.has_c else []
                self.f[place] = [getattr(kept[t], "f", getattr(kept[t], "z", None)) for t in order]
                self.o[place] = [getattr(kept[t], "o", None) for t in order]
                self.h_n.append(state[0].clone())
                self.c_n += [state[1].clone()] if cell.has_c else []
            inputs = [torch.cat([self.h[layer, d][t] for d in range(directions)]) for t in range(len(inputs))]
            self.seen.append(inputs)
        for node in [*self.h_n, *self.c_n, *itertools.chain(*self.seen)]:
            node.retain_grad()


def unrolled(module, x, h0, c0, lengths):
    """The rows, and what a layer returns for them: output [T, B, D*P], h_n, c_n (or None)."""
    h0 = h0.clone().requires_grad_()  # also of a row without steps, whose final state it is
    c0 = None if c0 is None else c0.clone().requires_grad_()
    rows = [Row(module, x[:n, b], h0[:, b], None if c0 is None else c0[:, b]) for b, n in enumerate(lengths)]
    size = h0.shape[-1] * (2 if module.bidirectional else 1)
    output = torch.stack(
        [
            torch.stack([*row.seen[-1], *x.new_zeros(len(x) - n, size)])
            for row, n in zip(rows, lengths, strict=True)
        ],
        dim=1,
    )
    h_n = torch.stack([torch.stack(row.h_n) for row in rows], dim=1)
    c_n = None if c0 is None else torch.stack([torch.stack(row.c_n) for row in rows], dim=1)
    return rows, SimpleNamespace(output=output, h_n=h_n, c_n=c_n)


def over_time(nodes):
    """The gradients of nodes, 0 where nothing reaches one."""
    return [torch.zeros_like(n) if n.grad is None else n.grad for n in nodes]


def expected_highway(module, row, place):
    """Σ_t (Π_{s<r≤t} keep_r) direct_t for every s, each product taken afresh; direct_t from autograd."""
    layer, d = place
    directions = 2 if module.bidirectional else 1
    k, steps = layer * directions + d, range(len(row.h[place]))
    order = list(reversed(steps)) if d else list(steps)
    direct = [g.chunk(directions)[d].clone() for g in over_time(row.seen[layer])]
    direct[order[-1]] += over_time([row.h_n[k]])[0]
    if row.c_n:
        if getattr(module, "proj_size", 0):
            direct = [g @ weights_of(module, layer, d)[4] for g in direct]
        direct = [
            g * o * (1 - c.tanh() ** 2) for g, o, c in zip(direct, row.o[place], row.c[place], strict=True)
        ]
        direct[order[-1]] += over_time([row.c_n[k]])[0]
    found = {}
    for a, s in enumerate(order):
        found[s] = sum(
            np.prod([row.f[place][r].detach().numpy() for r in order[a + 1 : b + 1]], axis=0, initial=1.0)
            * direct[t].detach().numpy()
            for b, t in enumerate(order)
            if b >= a
        )
    return [found[s] for s in steps]


def assert_flow(flow, module, rows, lengths):
    """Every gradient of a call equals autograd's, and is 0 beyond the lengths."""
    for place in rows[0].h:
        key = (place[0], "reverse") if place[1] else place[0]
        lf = flow[key]
        assert lf.key == key
        assert (lf.dc is not None) == bool(rows[0].c[place])
        for b, (row, n) in enumerate(zip(rows, lengths, strict=True)):
            pairs = [(lf.dh, over_time(row.h[place]))]
            pairs += [(lf.dc, over_time(row.c[place]))] if lf.dc is not None else []
            pairs += (
                [(lf.highway, expected_highway(module, row, place))] if n and lf.highway is not None else []
            )
            for got, expected in pairs:
                assert not got.requires_grad and got.dtype == torch.float64
                assert not got[n:, b].any()
                for t, values in enumerate(expected):
                    np.testing.assert_allclose(
                        got[t, b], values, atol=1e-12, rtol=1e-10, err_msg=f"{key} {t} {b}"
                    )


class Door(nn.Module):
    """Calls a layer and hands everything on in one form; `packed` packs what goes in."""

    def __init__(self, rnn, packed=False):
        super().__init__()
        self.rnn, self.packed = rnn, packed

    def forward(self, x, hx, lengths=None):
        if self.packed:
            x = pack_padded_sequence(x, torch.as_tensor(lengths), enforce_sorted=False)
            output, states = self.rnn(x, hx)
            output = pad_packed_sequence(output, total_length=T)[0]
        else:
            output, states = self.rnn(x, hx) if lengths is None else self.rnn(x, hx, lengths)
        h_n, c_n = states if isinstance(states, tuple) else (states, None)
        return SimpleNamespace(output=output, h_n=h_n, c_n=c_n)


def states_of(module):
    rows = module.num_layers * (2 if module.bidirectional else 1)
    h0 = torch.rand(rows, B, getattr(module, "proj_size", 0) or 5, **F64)
    c0 = torch.rand(rows, B, 5, **F64) if module.mode == "LSTM" else None
    return (h0 if c0 is None else (h0, c0)), h0, c0


def losses():
    """Functions of what a layer returns; none is linear, so that a wrong value of the output is seen too."""

    def weigh(tensor, seed):
        made = torch.Generator().manual_seed(seed)
        return (tensor**2 * torch.randn(tensor.shape, generator=made, **F64)).sum()

    return {
        "last output": lambda r: weigh(r.output[-1], 1),
        "all outputs": lambda r: weigh(r.output, 2),
        "h_n": lambda r: weigh(r.h_n, 3),
        "c_n": lambda r: weigh(r.h_n if r.c_n is None else r.c_n, 4),
        "everything": lambda r: (
            weigh(r.output, 5) * weigh(r.h_n, 6) + (0 if r.c_n is None else weigh(r.c_n, 7))
        ),
    }


def check(module, loss, lengths, packed=False):
    given = None if lengths is None else list(lengths)
    x = torch.randn(T, B, SIZE, **F64)
    hx, h0, c0 = states_of(module)
    flow = gradient_flow(Door(module, packed), (x, hx, given), loss)
    full = lengths or [T] * B
    rows, result = unrolled(module, x, h0, c0, full)
    expected = loss(result)
    expected.backward()
    assert flow.loss == pytest.approx(float(expected.detach()), rel=1e-10)
    assert flow.paths == ["rnn"]
    assert_flow(flow["rnn"], module, rows, full)


@pytest.mark.parametrize(("layers", "both"), list(itertools.product([1, 2], [False, True])))
@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_every_layer(kind, layers, both):
    for loss in losses().values():
        check(build(kind, num_layers=layers, bidirectional=both), loss, None)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith("gw")])
def test_lengths_with_one_and_zero_among_them(kind, both):
    for loss in losses().values():
        check(build(kind, num_layers=2, bidirectional=both), loss, RAGGED)


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.startswith("no_bias")])
def test_packed_rows_stand_in_the_callers_order(kind):
    module = build(kind, num_layers=2, bidirectional=True)
    check(module, losses()["everything"], [2, 7, 1, 5], packed=True)


@pytest.mark.parametrize("form", ["batch_first", "unbatched", "packed input"])
@pytest.mark.parametrize("cls", [nn.LSTM, gwl.LSTM, gwl.GRU])
def test_every_form_of_input_gives_the_same_flow(cls, form):
    module = cls(SIZE, 5, 2, bidirectional=True, batch_first=form == "batch_first", **F64)
    x = torch.randn(T, 1, SIZE, **F64)
    plain = cls(SIZE, 5, 2, bidirectional=True, **F64)
    plain.load_state_dict(module.state_dict())
    given = {
        "batch_first": x.transpose(0, 1),
        "unbatched": x[:, 0],
        "packed input": nn.utils.rnn.pack_sequence([x[:, 0]]),
    }[form]

    def loss(result):
        output, states = result
        data = output.data if isinstance(output, PackedSequence) else output
        return data.pow(3).sum() + sum(
            s.sin().sum() for s in (states if isinstance(states, tuple) else [states])
        )

    expected, got = gradient_flow(plain, x, loss), gradient_flow(module, given, loss)
    assert got.loss == pytest.approx(expected.loss, rel=1e-12)
    for a, b in zip(expected.layers(), got.layers(), strict=True):
        assert a.key == b.key
        for name in ("dh", "dc", "highway"):
            if getattr(a, name) is not None:
                torch.testing.assert_close(getattr(b, name), getattr(a, name), atol=1e-14, rtol=0)


def example(read):
    """One unit, three steps, with gates set by hand and no recurrent weights: docs/memory.md's example."""
    f, i = torch.tensor([0.5, 0.9, 0.8], **F64), torch.tensor([0.8, 0.5, 0.5], **F64)
    g, o = torch.tensor([0.5, -0.4, 0.2], **F64), torch.tensor([0.5, 0.5, 0.9], **F64)
    lstm = nn.LSTM(3, 1, bias=False, **F64)
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
        lstm.weight_ih_l0.copy_(torch.stack([i.logit(), f.logit(), g.atanh(), o.logit()]))
    return gradient_flow(lstm, torch.eye(3, **F64)[:, None], read)[""][0]


def test_an_example_by_hand():
    lf = example(lambda result: 2 * result[0][-1].sum())
    # dL/dc_3 = 2·0.9·(1 - tanh²(0.228)); then only the forget gates 0.8 and 0.9 stand between the steps.
    third = 2 * 0.9 * (1 - np.tanh(0.228) ** 2)
    np.testing.assert_allclose(lf.dc.flatten(), [third * 0.8 * 0.9, third * 0.8, third], rtol=1e-12)
    np.testing.assert_allclose(lf.highway, lf.dc, rtol=1e-12)
    assert lf.dh.flatten().tolist() == [0, 0, 2]
    # Read at step 1 too: c_1 = 0.4 gets that of its own, once through h_1.
    first = 3 * 0.5 * (1 - np.tanh(0.4) ** 2)
    lf = example(lambda result: 3 * result[0][0].sum() + 2 * result[0][-1].sum())
    np.testing.assert_allclose(lf.dc.flatten(), [third * 0.72 + first, third * 0.8, third], rtol=1e-12)


def test_a_plain_rnn_by_hand():
    rnn = nn.RNN(1, 1, bias=False, **F64)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
        rnn.weight_hh_l0.fill_(0.5)
    x = torch.tensor([0.3, -0.2, 0.9], **F64)[:, None, None]
    lf = gradient_flow(rnn, x, lambda result: result[1].sum())[""][0]
    h1 = np.tanh(0.3)
    h2 = np.tanh(-0.2 + 0.5 * h1)
    h3 = np.tanh(0.9 + 0.5 * h2)
    by_h2 = 0.5 * (1 - h3**2)
    np.testing.assert_allclose(lf.dh.flatten(), [by_h2 * 0.5 * (1 - h2**2), by_h2, 1], rtol=1e-12)
    assert lf.dc is None and lf.highway is None


@pytest.mark.parametrize("reverse", [False, True])
def test_a_profile_counts_back_from_each_rows_last_processed_step(reverse):
    module = gwl.LSTM(SIZE, 5, bidirectional=True, **F64)
    x, lengths = torch.randn(T, B, SIZE, **F64), [6, 1, 0, 4]
    flow = gradient_flow(module, {"x": x, "lengths": lengths}, lambda r: r[0].pow(2).sum() + r[1][1].sum())
    lf = flow[""][(0, "reverse") if reverse else 0]
    for of, gradient in (("h", lf.dh), ("c", lf.dc), ("highway", lf.highway)):
        got = lf.profile(of)
        assert got.shape == (T,)
        for lag in range(T):
            at = [(lag if reverse else n - 1 - lag, b) for b, n in enumerate(lengths) if n > lag]
            expected = (
                np.mean([np.sqrt((gradient[t, b].numpy() ** 2).sum()) for t, b in at]) if at else np.nan
            )
            assert float(got[lag]) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    torch.testing.assert_close(lf.profile(), lf.profile("h"), atol=0, rtol=0, equal_nan=True)


def test_a_profile_without_lengths():
    lf = example(lambda result: 2 * result[0][-1].sum())
    third = 2 * 0.9 * (1 - np.tanh(0.228) ** 2)
    np.testing.assert_allclose(lf.profile("c"), [third, third * 0.8, third * 0.72], rtol=1e-12)
    np.testing.assert_allclose(lf.profile(), [2, 0, 0])


class Chain(nn.Module):
    """Two layers as two modules, with one call each or one a half of the sequence."""

    def __init__(self, lower, upper, halves=False):
        super().__init__()
        self.lower, self.upper, self.halves = lower, upper, halves

    def forward(self, x):
        if not self.halves:
            return self.upper(self.lower(x)[0])
        first, state = self.lower(x[:3])
        second, _ = self.lower(x[3:], state)
        return self.upper(torch.cat([first, second]))


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN, gwl.LSTM, gwl.GRU])
def test_modules_in_a_row_and_calls_that_carry_a_state_are_one_computation(cls):
    both = cls(SIZE, 5, 2, **F64)
    lower, upper = cls(SIZE, 5, **F64), cls(5, 5, **F64)
    for layer, module in enumerate((lower, upper)):
        module.load_state_dict(
            {k.replace(f"l{layer}", "l0"): v for k, v in both.state_dict().items() if k.endswith(f"l{layer}")}
        )
    x = torch.randn(T, B, SIZE, **F64)

    def loss(result):
        return result[0][4].pow(3).sum() + result[0][-1].sin().sum()

    expected = gradient_flow(both, x, loss)[""]
    in_a_row = gradient_flow(Chain(lower, upper), x, loss)
    halves = gradient_flow(Chain(lower, upper, halves=True), x, loss)
    assert in_a_row.paths == ["lower", "upper"] and len(halves["lower"]) == 2
    for name in ("dh", "dc"):
        if getattr(expected[0], name) is not None:
            for layer, path in enumerate(("lower", "upper")):
                torch.testing.assert_close(
                    getattr(in_a_row[path][0], name), getattr(expected[layer], name), atol=1e-14, rtol=0
                )
            joined = torch.cat([getattr(call[0], name) for call in halves["lower"].calls])
            torch.testing.assert_close(joined, getattr(expected[0], name), atol=1e-14, rtol=0)
    with pytest.raises(UsageError, match=r"lower was called 2 times; take \.calls\[n\]"):
        halves["lower"][0]


class Seq2Seq(nn.Module):
    """A layer reads, another one or a cell, step by step, writes."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        h, (h_n, c_n) = self.encoder(x)
        if isinstance(self.decoder, nn.LSTM):
            return self.decoder(h, (h_n, c_n))[0]
        state, out = (h_n[0], c_n[0]), []
        for step in h:
            state = self.decoder(step, state)
            out.append(state[0])
        return torch.stack(out)


def test_a_layer_is_followed_through_a_cell_that_is_not():
    encoder, decoder, cell = nn.LSTM(SIZE, 5, **F64), nn.LSTM(5, 5, **F64), nn.LSTMCell(5, 5, **F64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in decoder.state_dict().items()})
    x = torch.randn(T, B, SIZE, **F64)
    expected, got = (
        gradient_flow(Seq2Seq(encoder, d), x, lambda h: h[-1].pow(2).sum()) for d in (decoder, cell)
    )
    torch.testing.assert_close(got["encoder"][0].dc, expected["encoder"][0].dc, atol=1e-14, rtol=0)
    assert got.paths == ["encoder"]


def test_a_stack_of_mixed_cells():
    stack = gwl.Stack([gwl.GRU(SIZE, 5, **F64), gwl.LSTM(5, 5, **F64)])
    x = torch.randn(T, B, SIZE, **F64)
    flow = gradient_flow(stack, {"x": x, "lengths": RAGGED}, lambda r: r[0].pow(2).sum())
    chain = Chain(stack.layers[0], stack.layers[1])
    for b, n in enumerate(RAGGED):
        if n:
            alone = gradient_flow(chain, x[:n, b : b + 1], lambda r: r[0].pow(2).sum())
            for path, one in (("layers.0", "lower"), ("layers.1", "upper")):
                torch.testing.assert_close(
                    flow[path][0].dh[:n, b], alone[one][0].dh[:, 0], atol=1e-13, rtol=0
                )


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, gwl.LSTM, gwl.RNN])
def test_float32_is_within_its_rounding(cls):
    module = cls(8, 16, 2, bidirectional=True)
    exact = cls(8, 16, 2, bidirectional=True, **F64)
    exact.load_state_dict(module.state_dict())
    x = torch.randn(30, B, 8)

    def loss(result):
        return result[0].pow(2).sum()

    got, expected = gradient_flow(module, x, loss), gradient_flow(exact, x.double(), loss)
    for a, b in zip(got.layers(), expected.layers(), strict=True):
        torch.testing.assert_close(a.dh, b.dh, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("cls", [nn.LSTM, gwl.GRU])
def test_frozen_weights_and_no_grad_outside_do_not_matter(cls, outside):
    module = Nest(cls(SIZE, 5, 2, **F64))
    x = torch.randn(T, B, SIZE, **F64)
    expected = gradient_flow(module, x, lambda r: r[0].pow(2).sum())["body.rnn"]
    module.requires_grad_(False)
    with outside():
        got = gradient_flow(module, x, lambda r: r[0].pow(2).sum())["body.rnn"]
    for layer in (0, 1):
        assert torch.equal(got[layer].dh, expected[layer].dh)


class InPlace(nn.Module):
    """Overwrites what the layer returned, and its view of it."""

    def __init__(self, rnn, in_place):
        super().__init__()
        self.rnn, self.in_place = rnn, in_place

    def forward(self, x):
        output, _ = self.rnn(x)
        if self.in_place:
            output.mul_(2)
            output[-1].add_(1)
            return output
        output = output * 2
        return torch.cat([output[:-1], output[-1:] + 1])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cls", [nn.LSTM, gwl.LSTM])
def test_a_result_that_the_model_overwrites(cls, batch_first):
    rnn = cls(SIZE, 5, batch_first=batch_first, **F64)
    x = torch.randn(T, B, SIZE, **F64)
    expected, got = (gradient_flow(InPlace(rnn, way), x, lambda y: y.pow(2).sum()) for way in (False, True))
    torch.testing.assert_close(got["rnn"][0].dh, expected["rnn"][0].dh, atol=1e-14, rtol=0)


def test_a_hook_that_changes_the_result_counts_as_outside():
    rnn = nn.GRU(SIZE, 5, **F64)
    x = torch.randn(T, B, SIZE, **F64)
    expected = gradient_flow(rnn, x, lambda r: (r[0] * 3).pow(2).sum())
    rnn.register_forward_hook(lambda module, args, result: (result[0] * 3, result[1]))
    got = gradient_flow(rnn, x, lambda r: r[0].pow(2).sum())
    assert torch.equal(got[""][0].dh, expected[""][0].dh)


def test_the_model_is_as_it_was():
    module = Nest(nn.LSTM(SIZE, 5, **F64))
    x = torch.randn(T, B, SIZE, **F64, requires_grad=True)
    with record(module) as trace:
        before = module(x)[0]
        gradient_flow(module, (x,), lambda r: r[0].sum())
    assert x.grad is None and all(p.grad is None for p in module.parameters())
    assert torch.equal(module(x)[0], before)
    assert len(trace["body.rnn"]) == 2
    assert not module.body["rnn"]._forward_hooks


def test_weight_norm_is_seen_as_it_was_applied():
    module = nn.utils.parametrizations.weight_norm(nn.LSTM(SIZE, 5, **F64), "weight_hh_l0")
    with torch.no_grad():
        module.parametrizations.weight_hh_l0.original0.mul_(1.7)
    plain = nn.LSTM(SIZE, 5, **F64)
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            weight.copy_(getattr(module, name))
    x = torch.randn(T, B, SIZE, **F64)
    got, expected = (gradient_flow(m, x, lambda r: r[1][0].sum()) for m in (module, plain))
    torch.testing.assert_close(got[""][0].dh, expected[""][0].dh, atol=1e-14, rtol=0)


def test_a_branch_that_the_loss_does_not_read_has_gradient_zero():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.LSTM(SIZE, 5, **F64), nn.GRU(SIZE, 5, bidirectional=True, **F64)

        def forward(self, x):
            return self.a(x)[0], self.b(x)[0]

    flow = gradient_flow(Two(), torch.randn(T, B, SIZE, **F64), lambda y: y[0].sum())
    assert flow["a"][0].dh.abs().min() > 0
    assert flow["b"][0, "reverse"].dh.shape == (T, B, 5)
    assert not any(lf.dh.any() or lf.highway.any() for lf in flow["b"].calls[0].values())


def test_no_steps_and_no_rows():
    module = gwl.LSTM(SIZE, 5, **F64)
    no_steps = gradient_flow(module, torch.randn(0, B, SIZE, **F64), lambda r: r[1][0].sum())[""][0]
    assert no_steps.dh.shape == no_steps.highway.shape == (0, B, 5) and no_steps.profile().shape == (0,)
    no_rows = gradient_flow(module, torch.randn(T, 0, SIZE, **F64), lambda r: r[0].sum())[""][0]
    assert no_rows.dc.shape == (T, 0, 5) and no_rows.profile("c").isnan().all()


def test_the_text_of_a_flow_says_what_it_holds():
    flow = gradient_flow(
        Nest(nn.GRU(SIZE, 5, **F64)), torch.zeros(T, B, SIZE, **F64), lambda r: r[0].sum() * 0 + 2
    )
    assert repr(flow) == "Flow(loss=2: LayerFlow(body.rnn, layer 0: gru, T=7, B=4))"


X = torch.zeros(T, B, SIZE)


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (nn.Linear(SIZE, 2), lambda y: y.sum(), "Linear holds no recurrent layer"),
        (nn.Sequential(LSTMCell(SIZE, 5)), lambda y: y, "0 is a LSTMCell that is called step by step"),
        (
            nn.LSTM(SIZE, 5, 2, dropout=0.25),
            lambda r: r[0].sum(),
            r"dropout 0\.25 between its 2 layers is on in training mode.*call model\.eval\(\) first",
        ),
        (nn.LSTM(SIZE, 5), lambda r: 3.0, "loss_fn returned a float; it must return a tensor of one number"),
        (
            nn.LSTM(SIZE, 5),
            lambda r: r[0].sum(-1),
            r"loss_fn returned shape \(7, 4\); it must return one number",
        ),
        (nn.LSTM(SIZE, 5), lambda r: torch.tensor(1.0), "the loss does not depend on any output .*''"),
        (
            nn.LSTM(SIZE, 5),
            lambda r: torch.ones((), requires_grad=True) * 2,
            "the loss does not depend on any output",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(model, loss, message):
    with pytest.raises(UsageError, match=message):
        gradient_flow(model, X, loss)


def test_dropout_in_eval_mode_is_no_obstacle():
    module = nn.LSTM(SIZE, 5, 2, dropout=0.25, **F64).eval()
    check(module, losses()["all outputs"], None)


def test_what_a_flow_does_not_hold_is_named():
    flow = gradient_flow(nn.RNN(SIZE, 5), X, lambda r: r[0].sum())
    with pytest.raises(UsageError, match=r"^the model, layer 0: a rnn_tanh has no cell state c$"):
        flow[""][0].profile("c")
    with pytest.raises(
        UsageError, match=r"^the model, layer 0: a rnn_tanh has no gate that keeps, so no highway$"
    ):
        flow[""][0].profile("highway")
    with pytest.raises(UsageError, match=r"^there is no profile of 'x'; there are h, c, highway$"):
        flow[""][0].profile("x")
    with pytest.raises(UsageError, match=r'no layer \[0, "reverse"\] was recorded; there are \[0\]'):
        flow[""][0, "reverse"]
    with pytest.raises(UsageError, match="nothing was recorded at 'rnn'; the recurrent modules are ''"):
        flow["rnn"]
