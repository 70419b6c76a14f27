"""Lyapunov exponents against systems whose exponents are known, and against Jacobians that autograd takes of a step."""

import itertools
import math

import pytest
import torch
from record_cases import Nest, cell_of
from torch import nn

from gatewise import layers as gwl
from gatewise.cells import CELLS
from gatewise.errors import UsageError
from gatewise.memory import lyapunov, record

F64 = {"dtype": torch.float64}
T, B, SIZE, H = 6, 3, 2, 4
KINDS = {
    "lstm": (nn.LSTM, {}),
    "lstm_projected": (nn.LSTM, {"proj_size": 2}),
    "gru": (nn.GRU, {}),
    "rnn_tanh": (nn.RNN, {}),
    "gw_lstm": (gwl.LSTM, {}),
    "gw_gru_no_bias": (gwl.GRU, {"bias": False}),
    "gw_gru_reset_before": (gwl.GRU, {"reset_after": False}),
}


def recorded(model, x, *args):
    with record(model) as trace:
        model(x, *args)
    return trace[""].calls[0]


def weights_of(module, lt):
    end = f"_l{lt.layer}" + ("_reverse" if lt.reverse else "")
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + ["weight_hr"] * (lt.cell == "lstm")
    return [getattr(module, name + end, None) for name in names]


def jacobians(module, lt, x, row):
    """J_t of a row in the order of processing, from autograd on the step of the cell."""
    cell, weights, size = CELLS[cell_of(module)], weights_of(module, lt), lt.h.shape[2]
    steps = range(int(lt.full_lengths()[row]))
    state = torch.cat([lt.h0[row], lt.c0[row]]) if cell.has_c else lt.h0[row]
    for t in reversed(steps) if lt.reverse else steps:

        def step(s, t=t):
            states = (s[None, :size], s[None, size:]) if cell.has_c else (s[None],)
            made = cell.step(x[t, row][None], *states, *weights)
            return torch.cat([made.h[0], made.c[0]]) if cell.has_c else made.h[0]

        yield torch.autograd.functional.jacobian(step, state)
        state = step(state).detach()


def by_hand(found, q):
    """log |R_jj| of every step by Gram-Schmidt, one vector after the other: [steps, k]."""
    rows = []
    for j in found:
        v, kept, logs = j @ q, [], []
        for column in v.T:
            for other in kept:
                column = column - (other @ column) * other
            logs.append(math.log(float(column.norm())))
            kept.append(column / column.norm())
        q = torch.stack(kept, dim=1)
        rows.append(logs)
    return torch.tensor(rows, **F64)


@pytest.mark.parametrize(("kind", "both"), list(itertools.product(KINDS, [False, True])))
def test_exponents_and_their_sum_against_jacobians_of_autograd(kind, both):
    cls, extra = KINDS[kind]
    module = cls(SIZE, H, 2, bidirectional=both, **extra, **F64)
    x, lengths = torch.randn(T, B, SIZE, **F64), [T, 0, 4] if kind.startswith("gw") else None
    call = recorded(module, x, *([None, lengths] if lengths else []))
    for lt in call.values():
        below = x if lt.layer == 0 else torch.cat([b.h for b in call.values() if b.layer == 0], dim=-1)
        found = lyapunov(lt, module)
        states = lt.h.shape[2] + (H if lt.cell == "lstm" else 0)
        assert found.size == states and found.exponents.shape == (B, states)
        for row, steps in enumerate(lengths or [T] * B):
            assert int(found.steps[row]) == steps
            if not steps:
                assert found.exponents[row].isnan().all()
                continue
            own = list(jacobians(module, lt, below, row))
            logdet = torch.stack([torch.linalg.slogdet(j).logabsdet for j in own]).mean()
            assert float(found.exponents[row].sum()) == pytest.approx(float(logdet), rel=1e-9, abs=1e-9)
            first = torch.randn(B, states, states, generator=torch.Generator().manual_seed(0)).double()
            logs = by_hand(own, torch.linalg.qr(first).Q[row])
            curve = logs.cumsum(0) / torch.arange(1, steps + 1)[:, None]
            ranks = curve[-1].argsort(descending=True)
            torch.testing.assert_close(found.running[:steps, row], curve[:, ranks], atol=1e-8, rtol=1e-8)
            assert found.running[steps:, row].isnan().all()
            torch.testing.assert_close(found.exponents[row], found.running[steps - 1, row], atol=0, rtol=0)


def linear_rnn(u, steps, cls=nn.RNN):
    """A ReLU network that its input holds at h = 10, where it is linear: J_t = U."""
    n = len(u)
    rnn, at = cls(n, n, bias=False, nonlinearity="relu", **F64), torch.full((n,), 10.0, **F64)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.eye(n))
        rnn.weight_hh_l0.copy_(u)
    lt = recorded(rnn, (at - u @ at).expand(steps, 1, n), at.expand(1, 1, n))[0]
    assert (lt.h > 9).all()
    return rnn, lt


@pytest.mark.parametrize("scale", [0.5, 0.97, 1.0])
def test_a_scaled_rotation_has_the_logarithm_of_its_scale(scale):
    angle = torch.tensor(0.3, **F64)
    u = scale * torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    rnn, lt = linear_rnn(u, 50, gwl.RNN)
    found = lyapunov(lt, rnn)
    torch.testing.assert_close(
        found.exponents, torch.full((1, 2), math.log(scale), **F64), atol=1e-12, rtol=0
    )


def test_a_tanh_network_near_its_zero_state():
    """There tanh is the identity and J_t = U: s times an orthogonal matrix."""
    rnn = nn.RNN(1, 5, bias=False, **F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.9 * torch.linalg.qr(torch.randn(5, 5, **F64)).Q)
    found = lyapunov(recorded(rnn, torch.zeros(40, 2, 1, **F64))[0], rnn)
    torch.testing.assert_close(found.exponents, torch.full((2, 5), math.log(0.9), **F64), atol=1e-12, rtol=0)
    assert found.sentence == (
        "the model, layer 0: the largest exponent is -0.1054 a step over 80 steps: nearby states come together, and "
        "their distance is halved after 6.58 steps."
    )


def test_a_symmetric_matrix_has_the_logarithms_of_its_eigenvalues():
    """Largest first, each found once the ones above it are; the convergence curve ends there."""
    values = torch.tensor([0.95, 0.6, 0.3], **F64)
    q = torch.linalg.qr(torch.randn(3, 3, **F64)).Q
    rnn, lt = linear_rnn(q @ torch.diag(values) @ q.T, 200)
    found = lyapunov(lt, rnn, warm_up=100)
    torch.testing.assert_close(found.exponents[0], values.log(), atol=1e-9, rtol=0)
    assert found.running[:100].isnan().all() and not found.running[100:].isnan().any()
    one = lyapunov(lt, rnn, 1, warm_up=100)
    torch.testing.assert_close(one.exponents, found.exponents[:, :1], atol=1e-9, rtol=0)
    sparse = lyapunov(lt, rnn, warm_up=100, every=7)
    torch.testing.assert_close(sparse.exponents, found.exponents, atol=1e-9, rtol=0)
    assert sparse.running[104].isfinite().all() and sparse.running[105:111].isnan().all()  # 105 = 15·7 steps


def gated(module, name, gates):
    """The module without recurrent weights, with one gate's biases set and all else zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        block = {"f": 1, "z": 1}[name]
        n = len(gates)
        module.bias_ih_l0[block * n : (block + 1) * n] = gates.logit()
    return module


def test_forget_gates_alone_have_their_logarithms():
    """Of an LSTM without recurrent weights c' = f⊙c, and h, which nothing reads, is lost: half of the exponents."""
    f = torch.tensor([0.99, 0.9, 0.5], **F64)
    lstm = gated(nn.LSTM(1, 3, **F64), "f", f)
    found = lyapunov(recorded(lstm, torch.zeros(600, 1, 1, **F64))[0], lstm, warm_up=300)
    torch.testing.assert_close(found.exponents[0, :3], f.log(), atol=1e-9, rtol=0)
    assert found.exponents[0, 3:].tolist() == [-math.inf] * 3


def test_update_gates_alone_have_their_logarithms():
    z = torch.tensor([0.99, 0.8, 0.4], **F64)
    gru = gated(nn.GRU(1, 3, **F64), "z", z)
    found = lyapunov(recorded(gru, torch.zeros(200, 1, 1, **F64))[0], gru, warm_up=100)
    torch.testing.assert_close(found.exponents[0], z.log(), atol=1e-8, rtol=0)


def test_rows_do_not_touch_each_other_and_the_mean_leaves_empty_ones_out():
    gru = gwl.GRU(SIZE, H, bidirectional=True, **F64)
    x, lengths = torch.randn(T, 3, SIZE, **F64), [T, 0, 4]
    call = recorded(gru, x, None, lengths)
    for key in (0, (0, "reverse")):
        found = lyapunov(call[key], gru)
        alone = lyapunov(recorded(gru, x[:4, 2:])[key], gru)
        torch.testing.assert_close(found.exponents[2].sum(), alone.exponents[0].sum(), atol=1e-12, rtol=0)
        torch.testing.assert_close(found.mean, found.exponents[[0, 2]].mean(0), atol=0, rtol=0)
        assert not found.mean.isnan().any()


def test_chaos_has_a_positive_exponent_and_a_dimension():
    """Sompolinsky, Crisanti & Sommers 1988: a large random network is chaotic at a gain above 1, and at rest below."""
    largest = {}
    for gain in (0.5, 3.0):
        rnn = nn.RNN(1, 100, bias=False, **F64)
        with torch.no_grad():
            rnn.weight_hh_l0.normal_(std=gain / 10)
        start = torch.randn(1, 1, 100, **F64)
        found = lyapunov(recorded(rnn, torch.zeros(150, 1, 1, **F64), start)[0], rnn, 40, warm_up=50)
        largest[gain] = float(found.mean[0])
        if gain > 1:
            assert 1 < float(found.dimension) < 40
            assert "nearby states part, and their distance is doubled" in found.sentence
    assert largest[0.5] < -0.5 < 0.05 < largest[3.0]


def with_exponents(*values, size=3):
    rnn = nn.RNN(1, size, **F64)
    found = lyapunov(recorded(rnn, torch.zeros(2, 1, 1, **F64))[0], rnn)
    object.__setattr__(found, "exponents", torch.tensor([values], **F64))
    return found


def test_the_kaplan_yorke_dimension_by_hand():
    """Lorenz's system, with its published exponents 0.906, 0, -14.572: 2 + 0.906 / 14.572."""
    assert float(with_exponents(0.906, 0.0, -14.572).dimension) == pytest.approx(2.0622, abs=5e-5)
    assert float(with_exponents(-0.1, -0.2, -0.3).dimension) == 0
    assert float(with_exponents(0.3, 0.2, 0.1).dimension) == 3
    with pytest.raises(UsageError, match="the sum of the largest 2 of 3 exponents is at least 0"):
        _ = with_exponents(0.3, 0.2).dimension


def test_a_layer_deep_inside_a_model_by_its_path_or_by_itself():
    model = Nest(nn.GRU(SIZE, H, 2, **F64))
    with record(model) as trace:
        model(torch.randn(T, B, SIZE, **F64))
    lt = trace["body.rnn"][1]
    found, own = lyapunov(lt, model, 2), lyapunov(lt, model.body["rnn"], 2)
    assert torch.equal(found.exponents, own.exponents)
    assert repr(found) == "Lyapunov(body.rnn, layer 1: gru, 2 of 4 exponents, B=3)"


def test_a_cell_that_is_called_step_by_step():
    cell, rnn = nn.GRUCell(SIZE, H, **F64), nn.GRU(SIZE, H, **F64)
    rnn.load_state_dict({f"{k}_l0": v for k, v in cell.state_dict().items()})
    x = torch.randn(T, B, SIZE, **F64)
    with record(cell) as trace:
        h = None
        for step in x:
            h = cell(step, h)
    found = lyapunov(trace[""].concat()[0], cell)
    torch.testing.assert_close(
        found.exponents, lyapunov(recorded(rnn, x)[0], rnn).exponents, atol=1e-9, rtol=0
    )


def test_float32_traces_are_swept_in_float64():
    rnn = nn.LSTM(SIZE, H)
    found = lyapunov(recorded(rnn, torch.randn(T, B, SIZE))[0], rnn)
    assert found.exponents.dtype == torch.float64 and not found.exponents.requires_grad


def test_no_steps_and_no_rows():
    gru = gwl.GRU(SIZE, H, **F64)
    empty = lyapunov(recorded(gru, torch.randn(0, B, SIZE, **F64))[0], gru)
    assert empty.exponents.isnan().all() and empty.mean.isnan().all() and empty.running.shape == (0, B, H)
    assert empty.sentence == "the model, layer 0: no step was counted, so there is no exponent."
    assert lyapunov(recorded(gru, torch.randn(T, 0, SIZE, **F64))[0], gru).exponents.shape == (0, H)


def test_what_cannot_be_measured_is_refused():
    gru = gwl.GRU(SIZE, H)
    lt = recorded(gru, torch.randn(T, B, SIZE))[0]
    for options, message in (
        ({"k": 0}, "k is 0; it is a whole number of at least 1 and at most 4$"),
        ({"k": 5}, "k is 5; it is a whole number of at least 1 and at most 4$"),
        ({"k": 1.5}, r"k is 1\.5; it is"),
        ({"warm_up": -1}, "warm_up is -1; it is a whole number of at least 0$"),
        ({"every": 0}, "every is 0; it is a whole number of at least 1$"),
    ):
        with pytest.raises(UsageError, match=f"^the model, layer 0: {message}"):
            lyapunov(lt, gru, **options)
    with pytest.raises(
        UsageError, match="trace is of a gru with 4 units, and the model has a lstm with 4 there"
    ):
        lyapunov(lt, gwl.LSTM(SIZE, H))
    with pytest.raises(
        UsageError, match="trace is of a gru with 4 units, and the model has a gru with 6 there"
    ):
        lyapunov(lt, gwl.GRU(SIZE, 6))
    with pytest.raises(UsageError, match=r"the model has no recurrent layer at ''; it has 'body\.rnn'"):
        lyapunov(lt, Nest(gru))
    upper = recorded(gwl.GRU(SIZE, H, 2), torch.randn(T, B, SIZE))[1]
    with pytest.raises(UsageError, match="layer 1: the model has 1 layers and 1 directions"):
        lyapunov(upper, gru)
    with pytest.raises(UsageError, match="Sequential holds no recurrent layer"):
        lyapunov(lt, nn.Sequential())
    with record(gru) as trace:
        gru(torch.full((T, B, SIZE), math.nan))
    with pytest.raises(UsageError, match="h holds numbers that are not finite"):
        lyapunov(trace[""][0], gru)
    with pytest.raises(
        UsageError, match=r"the trace of one layer, such as trace\[path\]\[0\]; this is a Trace$"
    ):
        lyapunov(trace, gru)
    peephole = gwl.LSTM(SIZE, H, peephole=True)
    with pytest.raises(UsageError, match="those of plain cells, and this call has peephole"):
        lyapunov(recorded(peephole, torch.randn(T, B, SIZE))[0], peephole)
