"""The identities of memory for every variant: the ledger, push and the rest, term by term from the oracle's run."""

import itertools

import numpy as np
import pytest
import torch
from variant_cases import F64, LENGTHS, READABLE, VARIANTS, Seeds, expected_variants, inputs, make, zoned

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import (
    gradient_flow,
    half_life,
    held,
    ledger,
    memory_age,
    push,
    push_by_variable,
    push_ledger,
    readout,
    record,
    retention,
    saturation,
    time_constants,
)
from gatewise.memory.joining import join

EXACT = {"atol": 1e-12, "rtol": 0}


def recorded(variant, *, training=True, reverse=False, ragged=False, reset=True, **options):
    """A trace, the layer, the oracle's values, and m [T, B, H]: how much of its old c each unit kept."""
    layer = make(variant, bidirectional=reverse, **options).train(training)
    x, resets = inputs()
    rows = layer.num_layers * (2 if reverse else 1)
    hx = torch.rand(rows, 4, layer.proj_size or 4, **F64), torch.rand(rows, 4, 4, **F64)
    lengths, resets = LENGTHS if ragged else None, resets if reset else None
    seeds = Seeds(layer)
    with record(layer) as trace:
        layer(x, hx, lengths, resets)
    expected = expected_variants(layer, x, hx, lengths, resets, seeds.numbers())
    seed = seeds.numbers()[-1]
    lt = trace[""][0, "reverse"] if reverse else trace[""][0]
    return lt, layer, expected[0, reverse], zoned(layer, seed, *expected[0, reverse]["c"].shape), resets


def order(lt, row):
    steps = range(int(lt.full_lengths()[row]))
    return list(reversed(steps)) if lt.reverse else list(steps)


def begins(lt, resets, t, row):
    """Whether a row enters step t, which is not its first, from another segment; or its first, forward."""
    if resets is None:
        return False
    if not lt.reverse:
        return bool(resets[t, row])
    return t + 1 < int(lt.full_lengths()[row]) and bool(resets[t + 1, row])


def terms(lt, expected, m, resets):
    """keep and written [T, B, H] by the papers' equations: f~ = m + (1-m) f, written = (1-m) i g, 0 over a border."""
    keep = m + (1 - m) * expected["f"]
    written = (1 - m) * expected["i"] * expected["g"]
    for row in range(keep.shape[1]):
        for t in order(lt, row):
            if begins(lt, resets, t, row):
                keep[t, row] = 0
    return keep, written


FORWARD = [{}, {"training": False}]
CASES = [*FORWARD, {"reverse": True, "ragged": True}, {"ragged": True, "reset": False}]
PROJECTED = [(name, {"proj_size": 2}) for name in READABLE]  # zoneout on h does not go with a projection


@pytest.mark.parametrize(("variant", "how"), [*itertools.product(VARIANTS, CASES), *PROJECTED], ids=str)
def test_the_ledger_closes_step_by_step(variant, how):
    lt, _, expected, m, resets = recorded(variant, **how)
    keep, written = terms(lt, expected, m, resets)
    for position in (0, 2, -1):
        at = torch.zeros(4, dtype=torch.int64)
        for row in range(4):
            steps = order(lt, row)
            at[row] = steps[min(position, len(steps) - 1)] if steps else -1
        got, shares = ledger(lt, at), retention(lt, at)
        assert got.residual <= 1e-12
        for row in range(4):
            steps = order(lt, row)
            if not steps:
                assert torch.equal(got.initial[row], lt.c0[row])
                continue
            until = steps[: steps.index(int(at[row])) + 1]
            left = np.ones(4)
            for s in reversed(until):
                np.testing.assert_allclose(shares[s, row], left, **EXACT)
                np.testing.assert_allclose(got.contributions[s, row], left * written[s, row], **EXACT)
                left = left * keep[s, row]
            np.testing.assert_allclose(got.initial[row], left * expected["c0"][row], **EXACT)
            whole = got.contributions[:, row].sum(0) + got.initial[row]
            np.testing.assert_allclose(whole, expected["c"][until[-1], row], **EXACT)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("variant", ["plain", "zoneout_c", "coupled_norm_zoneout_c_drop_h"])
def test_what_was_written_before_a_segment_is_exactly_zero_in_it(variant, reverse):
    lt, *_, resets = recorded(variant, reverse=reverse)
    for row in range(4):
        steps = order(lt, row)
        border = max((k for k, t in enumerate(steps) if begins(lt, resets, t, row)), default=None)
        book = ledger(lt)
        if border is not None:
            assert not book.contributions[steps[:border], row].any()
            assert not book.initial[row].any()
            assert not held(lt)[steps[:border], row].any()
        assert book.contributions[steps[border or 0 :], row].any()


def normalised(c):
    deviation = np.sqrt(((c - c.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + 1e-5)
    return (c - c.mean(-1, keepdims=True)) / deviation, deviation


def reading_of_c(lt, layer, expected, of_h):
    """What of_h [T, B, P], a reading of h, is as a reading of c; and what of the answer is no reading of c, [B]."""
    if lt.w_hr is not None:
        of_h = of_h @ layer.weight_hr_l0.detach().numpy()
    if not layer.variant.layer_norm:
        c = expected["c"]
        return of_h * expected["o"] * np.divide(np.tanh(c), c, out=np.ones_like(c), where=c != 0), 0.0
    n, b = layer.weight_norm_c_l0.detach().numpy(), layer.bias_norm_c_l0.detach().numpy()
    normed, deviation = normalised(expected["c"])
    u = n * normed + b
    of_u = of_h * expected["o"] * np.tanh(u) / u
    # u = n (c - Σ c / H) / deviation + b, so what reads u_j reads c_k by n_j (1[j = k] - 1/H) / deviation
    H = of_u.shape[-1]
    matrix = (n / deviation)[..., None] * (np.eye(H) - 1 / H)  # [T, B, of u, of c]
    return np.einsum("tbj,tbjk->tbk", of_u, matrix), (of_u * b).sum((0, 2))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("variant", "how"), [*itertools.product(READABLE, FORWARD), *PROJECTED], ids=str)
def test_push_sums_to_the_readout(variant, how, weighted):
    lt, layer, expected, m, resets = recorded(variant, **how)
    T, B, P = lt.h.shape
    weights = torch.rand(T, B, P, **F64) if weighted else None
    v = torch.randn(B, P, **F64)
    got = push_ledger(lt, weights, v)
    a = np.zeros((T, B, P)) if weights is None else weights.numpy()
    if weights is None:
        a[-1] = 1
    keep, written = terms(lt, expected, m, resets)
    q, bias = reading_of_c(lt, layer, expected, a * v.numpy())
    reach = np.zeros((B, 4))
    for t in reversed(range(T)):
        reach = q[t] + reach
        np.testing.assert_allclose(got.push[t], (reach * written[t]).sum(-1), **EXACT)
        reach = keep[t] * reach
    np.testing.assert_allclose(got.initial, (reach * expected["c0"]).sum(-1), **EXACT)
    np.testing.assert_allclose(got.bias, np.broadcast_to(bias, B), **EXACT)
    answer = (a * v.numpy() * expected["h"]).sum((0, 2))
    np.testing.assert_allclose(got.readout, answer, **EXACT)
    np.testing.assert_allclose(got.push.sum(0) + got.initial + got.bias, answer, **EXACT)
    assert got.residual <= 1e-12
    share = held(lt, weights)
    np.testing.assert_allclose(share.sum(0), np.ones(B), **EXACT)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in READABLE])
def test_readings_of_a_zoned_h_are_refused_by_name(variant, training):
    lt, layer, *_ = recorded(variant, training=training)
    v = torch.ones(4, **F64)
    for read in (
        lambda: push(lt, None, v),
        lambda: held(lt),
        lambda: push_by_variable(lt, None, v, torch.zeros(6, 4, 3), torch.zeros(12, 3)),
        lambda: readout(layer, torch.randn(6, 4, 3, **F64), lambda result: result[0][-1].sum(-1)),
    ):
        with pytest.raises(
            UsageError, match=r"the model, layer 0: zoneout=\(0\.\d, 0\.\d\) keeps units of h"
        ):
            read()
    assert ledger(lt).residual <= 1e-12


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_time_constants_are_those_of_what_a_step_lets_stand(variant, training):
    lt, _, expected, m, _ = recorded(variant, training=training, ragged=True)
    keep = (m + (1 - m) * expected["f"])[lt.valid().numpy()]
    tau = -1 / np.log(keep).mean(0)
    np.testing.assert_allclose(time_constants(lt), tau, rtol=1e-12)
    np.testing.assert_allclose(half_life(lt), tau * np.log(2), rtol=1e-12)
    found = saturation(lt)
    assert list(found) == ["i", "f", "o"]
    for name, (left, right) in found.items():
        gate = expected[name][lt.valid().numpy()]
        np.testing.assert_allclose(left, (gate < 0.1).mean(0), **EXACT)
        np.testing.assert_allclose(right, (gate > 0.9).mean(0), **EXACT)


@pytest.mark.parametrize("kind", ["gru", "coupled", "coupled_peephole_zoneout_drop_g"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_mean_age_counts_the_zeros_of_a_new_segment(kind, reverse):
    if kind == "gru":
        layer = gwl.GRU(3, 4, bidirectional=reverse, **F64)
        x, resets = inputs()
        with record(layer) as trace:
            layer(x, resets=resets)
        lt = trace[""][0, "reverse"] if reverse else trace[""][0]
        stands = lt.z.numpy()
    else:
        lt, _, expected, m, resets = recorded(kind, reverse=reverse)
        stands = m + (1 - m) * expected["f"]
    got = memory_age(lt).numpy()
    for row in range(4):
        steps = order(lt, row)
        share, age, total = np.ones(4), np.zeros(4), np.zeros(4)
        for back, t in enumerate(reversed(steps)):
            age += share * (1 - stands[t, row]) * back
            total += share * (1 - stands[t, row])
            share = share * stands[t, row]
            if begins(lt, resets, t, row) or back == len(steps) - 1:
                age += share * (back + 1)
                total += share
                break
        np.testing.assert_allclose(total, 1, **EXACT)
        np.testing.assert_allclose(got[row], age, **EXACT)


def test_the_mean_age_is_not_defined_for_gates_that_are_not_coupled():
    with pytest.raises(UsageError, match="a GRU and a coupled LSTM, not for a lstm"):
        memory_age(recorded("peephole")[0])


@pytest.mark.parametrize("variant", [v for v in READABLE if not VARIANTS[v].get("layer_norm")])
def test_pushes_are_split_over_variables_by_their_gradient(variant):
    """x_k ∂/∂x_k of what a step writes, with h_{t-1} and the worth of the write held fixed: by central differences."""
    lt, layer, expected, m, resets = recorded(variant)
    x = torch.randn(6, 4, 3, **F64)
    v = torch.randn(4, **F64)
    names = "fgo" if layer.variant.coupled else "ifgo"
    w = {
        n: part.detach().numpy() for n, part in zip(names, layer.weight_ih_l0.chunk(len(names)), strict=True)
    }
    got = push_by_variable(lt, None, v, x, layer.weight_ih_l0.detach())
    q, _ = reading_of_c(lt, layer, expected, np.eye(6)[-1][:, None, None] * v.numpy())
    keep, _ = terms(lt, expected, m, resets)
    reach = np.zeros_like(q)
    later = np.zeros(q.shape[1:])
    for t in reversed(range(6)):
        reach[t] = q[t] + later
        later = keep[t] * reach[t]
    drops = layer.variant.recurrent_dropout_on == "g"
    scale = 1 / (1 - layer.variant.recurrent_dropout) if drops else 1.0

    def pushed(k, by):
        """The push of each step when x_k is larger by a share `by`."""
        moved = {n: by * x[..., k, None].numpy() * w[n][:, k] for n in names}
        inner = np.arctanh(expected["g"] / scale) + moved["g"]
        g = np.where(expected["g"] != 0, np.tanh(inner) * scale, 0)

        def gate(name):
            a = np.log(expected[name] / (1 - expected[name])) + moved[name]
            return 1 / (1 + np.exp(-a))

        i = 1 - gate("f") if layer.variant.coupled else gate("i")
        return (reach * (1 - m) * i * g).sum(-1)

    for k in range(3):
        slope = (pushed(k, 1e-6) - pushed(k, -1e-6)) / 2e-6
        np.testing.assert_allclose(got.push[..., k], slope, atol=1e-8)
    whole = push(lt, None, v)
    assert got.residual == pytest.approx(float((whole - got.push.sum(-1)).abs().max()), abs=1e-12)


def test_a_normalised_push_is_not_split():
    lt, layer, *_ = recorded("layer_norm")
    with pytest.raises(UsageError, match="layer_norm divides by the size of all inputs together"):
        push_by_variable(lt, None, torch.ones(4, **F64), torch.randn(6, 4, 3), layer.weight_ih_l0)


class Rating(torch.nn.Module):
    """A linear answer to the mean of a layer's outputs."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(4 * (2 if layer.bidirectional else 1), 2, **F64)
        self.resets = None

    def forward(self, x):
        return self.head(self.layer(x, resets=self.resets)[0].mean(0))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("variant", READABLE)
def test_a_models_answer_is_read_through_every_variant(variant, both):
    model = Rating(make(variant, num_layers=2, bidirectional=both))  # in training mode: with its masks
    x, model.resets = inputs()
    found = readout(model, x, 1)
    total = found.constant.clone()
    for key, weights in found.weights.items():
        sums = push_ledger(found.traces[key], weights, torch.ones(4, **F64))
        assert sums.residual <= 1e-12
        total += sums.push.sum(0) + sums.initial + sums.bias
    torch.testing.assert_close(total, found.value, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.constant, model.head.bias[1].expand(4).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "plain"])
def test_gradient_flow_refuses_variants_by_name(variant):
    model, (x, _) = Rating(make(variant)), inputs()
    with pytest.raises(
        UsageError, match=r"^layer: gradients are followed through plain cells, and this call has "
    ):
        gradient_flow(model, x, lambda scores: scores.sum())


def test_gradient_flow_refuses_resets_and_takes_dropout_in_eval():
    model = Rating(make("drop_weights"))
    x, model.resets = inputs()
    with pytest.raises(UsageError, match="this call has resets"):
        gradient_flow(model.eval(), x, lambda scores: scores.sum())
    model.resets = None
    flow = gradient_flow(model, x, lambda scores: scores.sum())["layer"][0]
    assert flow.dh.abs().sum() > 0


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("variant", ["zoneout_c", "zoneout_h", "coupled_norm_zoneout_c_drop_h"])
def test_calls_that_continue_each_other_are_joined_with_their_masks(variant, both):
    layer = make(variant)
    x, resets = inputs(T=9)
    with record(layer) as trace:
        state = None
        for piece, border in zip(x.split(4), resets.split(4), strict=True):
            _, state = layer(piece, state, resets=border if both else None)
    lt = trace[""].concat()[0]
    assert ledger(lt).residual <= 1e-12 and lt.residual <= 1e-12
    assert (lt.borders is not None) == both


def test_a_call_in_training_and_one_in_eval_are_not_joined():
    layer = make("zoneout_c")
    x, _ = inputs()
    with record(layer) as trace:
        _, state = layer(x)
        layer.eval()(x, state)
    with pytest.raises(UsageError, match=r"call 0 and call 1 did not run in the same mode"):
        trace[""].concat()


def test_a_reverse_reader_carries_its_state_over_a_border_between_two_calls():
    """resets[0] of a reverse pass begins nothing: what left step 0 goes on into the call before it in time."""
    layer = gwl.LSTM(3, 4, bidirectional=True, **F64)
    x = torch.randn(6, 2, 3, **F64)
    resets = torch.zeros(6, 2, dtype=torch.bool)
    resets[3] = True
    with record(layer) as trace:
        _, (h, c) = layer(x[3:], resets=resets[3:])
        layer(x[:3], (h, c), resets=resets[:3])
    parts = [trace[""].calls[k][0, "reverse"] for k in (1, 0)]
    joined = join(parts)
    assert not joined.borders.any()
    assert ledger(joined).residual <= 1e-12
    assert ledger(joined).contributions[5].abs().sum() > 0
