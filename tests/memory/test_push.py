"""Held and push against the double sum over reading and writing steps, for every way of reading."""

import sys

import numpy as np
import pytest
import torch
from memory_cases import TOLERANCE, keep_and_written, oracle_trace, order

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, held, push, push_ledger

LENGTHS = [None, [7, 3, 0, 5]]
POOLINGS = ["last", "mean", "max", "attention"]
KINDS = [("lstm", 0), ("lstm", 3), ("gru", 0), ("gru_reset_before", 0)]


def pooling(lt, kind):
    """The weights with which the answer reads the hidden states, as in a classifier's pooling."""
    T, B = lt.h.shape[:2]
    valid = lt.valid()
    if kind == "last":
        return None
    if kind == "mean":
        return (valid / valid.sum(0).clamp(min=1)).to(lt.h.dtype)
    if kind == "attention":
        scores = torch.randn(T, B, dtype=lt.h.dtype).masked_fill(~valid, -1e9)
        return scores.softmax(0) * valid
    best = lt.h.masked_fill(~valid[..., None], -2).argmax(0)  # [B, P]
    return torch.nn.functional.one_hot(best, T).permute(2, 0, 1).to(lt.h.dtype) * valid[..., None]


def reading(lt, weights):
    """a [T, B, P] float64, 1 at the last processed step where weights is None."""
    T, B, P = lt.h.shape
    if weights is not None:
        a = weights.double().numpy()
        return np.broadcast_to(a if a.ndim == 3 else a[..., None], (T, B, P))
    a = np.zeros((T, B, P))
    for row in range(B):
        if order(lt, row):
            a[order(lt, row)[-1], row] = 1
    return a


def double_sum(lt, q):
    """Σ over the reading steps t of q_t times what each step s wrote and t still holds: [T, B, H], and the start's."""
    keep, written = keep_and_written(lt)
    initial = (lt.c0 if lt.cell == "lstm" else lt.h0).double().numpy()
    parts, start = np.zeros(keep.shape), np.zeros(initial.shape)
    for row in range(keep.shape[1]):
        steps = order(lt, row)
        for k, t in enumerate(steps):
            for m in range(k + 1):
                share = np.prod([keep[r, row] for r in steps[m + 1 : k + 1]], axis=0)
                parts[steps[m], row] += q[t, row] * share * written[steps[m], row]
            start[row] += q[t, row] * np.prod([keep[r, row] for r in steps[: k + 1]], axis=0) * initial[row]
    return parts, start


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_push_sums_to_the_readout(cell, projection, lengths, reverse, kind, dtype):
    lt = oracle_trace(cell, dtype, lengths=lengths, reverse=reverse, projection=projection)
    weights = pooling(lt, kind)
    v = torch.randn(4, lt.h.shape[2], dtype=dtype)
    got = push_ledger(lt, weights, v)

    a, h, to = reading(lt, weights), lt.h.double().numpy(), v.double().numpy()
    q = a * to
    if projection:
        q = q @ lt.w_hr.double().numpy()
    if cell == "lstm":
        c, o = lt.c.double().numpy(), lt.o.double().numpy()
        q = q * o * np.divide(np.tanh(c), c, out=np.ones_like(c), where=c != 0)
    parts, start = double_sum(lt, q)
    readout = (a * to * h).sum((0, 2))
    initial = start.sum(-1)
    if kind == "last" and lengths is not None:
        readout[2] = initial[2] = to[2] @ lt.h0[2].double().numpy()

    close = {"atol": TOLERANCE[dtype], "rtol": 0}
    np.testing.assert_allclose(got.push.double(), parts.sum(-1), **close)
    np.testing.assert_allclose(got.initial.double(), initial, **close)
    np.testing.assert_allclose(got.readout.double(), readout, **close)
    np.testing.assert_allclose((got.push.sum(0) + got.initial).double(), readout, **close)
    assert got.residual <= TOLERANCE[dtype]
    assert torch.equal(push(lt, weights, v), got.push)


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_held_is_the_share_of_what_was_written(cell, projection, lengths, reverse, kind):
    lt = oracle_trace(cell, lengths=lengths, reverse=reverse, projection=projection)
    weights = pooling(lt, kind)
    a = reading(lt, weights)
    if projection:
        a = np.broadcast_to(a.mean(-1, keepdims=True), lt.i.shape)
    parts, _ = double_sum(lt, a)
    mass = np.abs(parts).sum(-1)
    expected = np.divide(mass, mass.sum(0), out=np.zeros_like(mass), where=mass.sum(0) > 0)
    got = held(lt, weights).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-13, rtol=0)
    sums = [1.0 if n else 0.0 for n in lt.full_lengths().tolist()]
    np.testing.assert_allclose(got.sum(0), sums, atol=1e-14)


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_rows_taken_some_at_a_time_are_the_rows_of_the_whole(monkeypatch, cell, projection, reverse, kind):
    lt = oracle_trace(cell, lengths=[7, 3, 0, 5], reverse=reverse, projection=projection)
    weights, v = pooling(lt, kind), torch.randn(4, lt.h.shape[2], dtype=torch.float64)
    whole = push_ledger(lt, weights, v)
    monkeypatch.setattr(sys.modules["gatewise.memory.push"], "_AT_ONCE", 1)
    for found, expected in zip(push_ledger(lt, weights, v), whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_rows_of_a_trace_are_views_of_their_part(lengths):
    lt = oracle_trace(lengths=lengths)
    part = lt.rows(slice(1, 3))
    assert torch.equal(part.f, lt.f[:, 1:3]) and part.f.data_ptr() == lt.f[:, 1:3].data_ptr()
    assert part.full_lengths().tolist() == lt.full_lengths()[1:3].tolist()
    assert [part.h.shape[1], len(part.h0), len(part.c0), part.c.shape[1]] == [2] * 4
    assert part.residual <= lt.residual


def test_one_direction_for_all_rows():
    lt = oracle_trace()
    v = torch.randn(5, dtype=torch.float64)
    assert torch.equal(push(lt, None, v), push(lt, None, v.expand(4, 5)))


def test_an_empty_cell_state_is_read_with_ratio_one():
    """c = 0 where what is kept and what is written cancel: each still pushed, by o·v times itself."""
    one = torch.ones(2, 1, 1, dtype=torch.float64)
    g = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, 1, 1)
    c = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(2, 1, 1)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    lt = LayerTrace(
        "", 0, "forward", "lstm", {"i": one, "f": one, "g": g, "o": one / 2}, c.tanh() / 2, zero, c=c, c0=zero
    )
    got = push_ledger(lt, None, torch.tensor([3.0], dtype=torch.float64))
    np.testing.assert_allclose(got.push[:, 0], [1.5, -1.5], rtol=1e-15)
    assert got.residual == 0


@pytest.mark.parametrize("c", [0.0, 1e-12, 0.9e-4, 1.1e-4, 1e-2, 3.0, -50.0])
def test_the_ratio_is_exact_near_zero_and_far_from_it(c):
    from math import tanh

    one = torch.ones(1, 1, 1, dtype=torch.float64)
    state = torch.full((1, 1, 1), c, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    gates = {"i": one, "f": one, "g": one, "o": one}  # so push is the ratio itself
    lt = LayerTrace("", 0, "forward", "lstm", gates, state.tanh(), zero, c=state, c0=zero)
    ratio = float(push(lt, None, torch.ones(1, dtype=torch.float64)))
    assert ratio == pytest.approx(tanh(c) / c if c else 1.0, rel=4e-16)


def test_weights_beyond_a_length_read_nothing():
    lt = oracle_trace(lengths=[7, 3, 0, 5])
    weights = torch.rand(7, 4, dtype=torch.float64)
    within = torch.where(lt.valid(), weights, 0.0)
    v = torch.randn(5, dtype=torch.float64)
    assert torch.equal(push(lt, weights, v), push(lt, within, v))
    assert torch.equal(held(lt, weights.masked_fill(~lt.valid(), torch.nan)), held(lt, within))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_no_steps(cell):
    lt = oracle_trace(cell, T=0)
    v = torch.randn(5, dtype=torch.float64)
    got = push_ledger(lt, None, v)
    np.testing.assert_allclose(got.readout, lt.h0 @ v, atol=1e-15)
    np.testing.assert_allclose(got.initial, lt.h0 @ v, atol=1e-15)
    assert got.push.shape == held(lt).shape == (0, 4)
    assert not push_ledger(lt, torch.zeros(0, 4), v).readout.any()


def test_push_is_differentiable():
    lt = oracle_trace(lengths=[7, 3, 0, 5], reverse=True)
    gates = [gate.clone().requires_grad_() for gate in lt.gates.values()]

    def pushed(*gates):
        seen = LayerTrace(
            "",
            0,
            "reverse",
            "lstm",
            dict(zip("ifgo", gates, strict=True)),
            lt.h,
            lt.h0,
            lt.c,
            lt.c0,
            lengths=lt.lengths,
        )
        return push(seen, None, torch.ones(5, dtype=torch.float64)), held(seen)

    assert torch.autograd.gradcheck(pushed, gates, atol=1e-8)


def test_what_does_not_fit_is_refused_with_the_numbers():
    lt = oracle_trace()
    v = torch.zeros(5)
    with pytest.raises(UsageError, match=r"direction has shape \(4,\); it takes \[5\] or \[4, 5\]"):
        push(lt, None, torch.zeros(4))
    with pytest.raises(UsageError, match=r"weights have shape \(4, 7\); they take \[7, 4\] or \[7, 4, 5\]"):
        push(lt, torch.zeros(4, 7), v)
    with pytest.raises(UsageError, match=r"at least 0, and the least here is -0\.5"):
        held(lt, torch.full((7, 4), -0.5))
    for function in (lambda lt: held(lt), lambda lt: push(lt, None, v)):
        with pytest.raises(UsageError, match="rnn_tanh"):
            function(oracle_trace("rnn_tanh"))
