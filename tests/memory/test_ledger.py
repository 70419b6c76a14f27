"""Retention, ledger and memory age against products taken afresh and sums written out."""

import numpy as np
import pytest
import torch
from memory_cases import TOLERANCE, keep_and_written, oracle_trace, order, retention_by_products

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, ledger, memory_age, retention

LENGTHS = [None, [7, 3, 1, 5]]
CASES = [
    (c, lengths, r) for c in ("lstm", "gru", "gru_reset_before") for lengths in LENGTHS for r in (False, True)
]
AT = [-1, 0, torch.tensor([6, 2, 0, -2])]


def positions(lt, at):
    """The target of each row as a position in the row's order of processing."""
    result = []
    for row in range(lt.h.shape[1]):
        steps = order(lt, row)
        a = int(at if isinstance(at, int) else at[row])
        result.append(len(steps) + a if a < 0 else steps.index(a))
    return result


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("at", AT, ids=["last", "first", "per row"])
@pytest.mark.parametrize(("cell", "lengths", "reverse"), CASES)
def test_retention_and_ledger_are_the_products_and_sums(cell, lengths, reverse, at, dtype):
    lt = oracle_trace(cell, dtype, lengths=lengths, reverse=reverse)
    if isinstance(at, torch.Tensor) and lengths is None:
        at = torch.tensor([6, 2, 0, 4])
    R = retention(lt, at).double().numpy()
    led = ledger(lt, at)
    _, written = keep_and_written(lt)
    content = (lt.c if cell == "lstm" else lt.h).double().numpy()
    initial = (lt.c0 if cell == "lstm" else lt.h0).double().numpy()
    expected_R, expected_parts, expected_start = np.zeros(R.shape), np.zeros(R.shape), np.zeros(initial.shape)
    for row, position in enumerate(positions(lt, at)):
        for unit in range(R.shape[2]):
            shares, start = retention_by_products(lt, row, unit, position)
            for s, share in shares.items():
                expected_R[s, row, unit] = share
                expected_parts[s, row, unit] = share * written[s, row, unit]
            expected_start[row, unit] = start * initial[row, unit]
            total = led.contributions[:, row, unit].double().sum() + led.initial[row, unit].double()
            assert abs(float(total) - content[order(lt, row)[position], row, unit]) <= TOLERANCE[dtype]
    # Products of up to 8 factors, in another order: 8 roundings in float64, and one to the trace's dtype.
    rtol = 8 * torch.finfo(torch.float64).eps + (torch.finfo(dtype).eps if dtype != torch.float64 else 0)
    np.testing.assert_allclose(R, expected_R, rtol=rtol)
    np.testing.assert_allclose(led.contributions.double(), expected_parts, rtol=rtol)
    np.testing.assert_allclose(led.initial.double(), expected_start, rtol=rtol)
    assert led.residual <= TOLERANCE[dtype]
    assert R.dtype == np.float64 and led.contributions.dtype == dtype


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_for_each_unit(reverse):
    lt = oracle_trace("lstm", reverse=reverse)
    at = torch.arange(20).reshape(4, 5) % 7
    by_unit = retention(lt, at)
    for row in range(4):
        for unit in range(5):
            alone = retention(lt, int(at[row, unit]))
            assert torch.equal(by_unit[:, row, unit], alone[:, row, unit])
    assert ledger(lt, at).residual <= 1e-12


def test_constant_gates_decay_geometrically():
    T = 12
    shape = (T, 1, 2)
    f = torch.tensor([0.5, 0.9], dtype=torch.float64).expand(shape)
    ones = torch.ones(shape, dtype=torch.float64)
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    lt = LayerTrace(
        "", 0, "forward", "lstm", {"i": ones, "f": f, "g": ones, "o": ones}, ones, zeros, c=ones, c0=zeros
    )
    ages = np.arange(T - 1, -1, -1)
    expected = np.stack([0.5**ages, 0.9**ages], axis=-1)[:, None]
    np.testing.assert_allclose(retention(lt), expected, rtol=1e-14)
    # Σ f^k = (1 - f^T) / (1 - f), the closed form of the memory that writing 1 at each step builds up.
    total = ledger(lt).contributions.sum(0)
    np.testing.assert_allclose(total[0], [(1 - 0.5**T) / 0.5, (1 - 0.9**T) / 0.1], rtol=1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_thousand_steps_with_saturated_gates_and_a_hard_reset(dtype):
    """Against exact rational arithmetic on the gates as they are stored."""
    from fractions import Fraction

    T = 1000
    rng = np.random.default_rng(5)
    f = torch.tensor(1 - 10.0 ** rng.uniform(-9, -1, size=(T, 1, 3)), dtype=dtype)  # much of it rounds to 1
    f[400, 0, 0] = 0.0  # a hard reset
    f[:, 0, 1] = torch.tensor(
        rng.uniform(0.4, 0.6, size=T), dtype=dtype
    )  # decays below 1e-300 at the far end
    i = torch.tensor(rng.uniform(size=(T, 1, 3)), dtype=dtype)
    g = torch.tensor(rng.uniform(-1, 1, size=(T, 1, 3)), dtype=dtype)
    c, states = np.zeros(3), []
    for t in range(T):
        c = f[t, 0].double().numpy() * c + (i[t, 0].double() * g[t, 0].double()).numpy()
        states.append(c)
    zeros = torch.zeros(1, 3, dtype=dtype)
    c_seq = torch.tensor(np.array(states), dtype=dtype)[:, None]
    lt = LayerTrace(
        "", 0, "forward", "lstm", {"i": i, "f": f, "g": g, "o": i}, c_seq, zeros, c=c_seq, c0=zeros
    )
    R = retention(lt).double().numpy()
    assert not R[:400, 0, 0].any()  # nothing from before the reset, exactly; not a NaN, not a rest
    assert np.isfinite(R).all()
    tiny = float(torch.finfo(dtype).tiny)
    for unit in range(3):
        product = Fraction(1)
        for s in range(T - 1, -1, -1):
            if s % 97 == 0 or s > 995:
                assert R[s, 0, unit] == pytest.approx(
                    float(product), rel=4e-13 if dtype == torch.float64 else 1e-7, abs=tiny
                )
            # Cut off far below the smallest double, or the fractions grow to thousands of digits.
            product = (product * Fraction(float(f[s, 0, unit]))).limit_denominator(10**400)
    assert ledger(lt).residual <= (1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_without_steps_hold_their_initial_state(reverse):
    lt = oracle_trace("lstm", lengths=[0, 4, 0, 7], reverse=reverse)
    led = ledger(lt)
    assert torch.equal(led.initial[0], lt.c0[0]) and torch.equal(led.initial[2], lt.c0[2])
    assert not led.contributions[:, 0].any()
    assert led.residual <= 1e-12


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_no_steps_at_all(cell):
    lt = oracle_trace(cell, T=0)
    led = ledger(lt)
    assert led.contributions.shape == (0, 4, 5)
    assert torch.equal(led.initial, lt.c0 if cell == "lstm" else lt.h0)
    assert led.residual == 0


@pytest.mark.parametrize("at", [7, -8, torch.tensor([0, 0, 7, 0])])
def test_a_step_that_does_not_exist_is_refused(at):
    with pytest.raises(UsageError, match=r"names no step of row \d, which has 7 of the 7 steps"):
        retention(oracle_trace(), at)


def test_a_step_beyond_a_rows_length_is_refused():
    with pytest.raises(UsageError, match="at=4 names no step of row 1, which has 3 of the 7 steps"):
        ledger(oracle_trace(lengths=[7, 3, 1, 5]), 4)


@pytest.mark.parametrize("at", [torch.zeros(3, dtype=torch.int64), torch.zeros(4, 4, dtype=torch.int64)])
def test_a_wrong_shape_of_at_is_refused(at):
    with pytest.raises(UsageError, match=r"at has shape .*; it takes a number, \[4\] or \[4, 5\]"):
        retention(oracle_trace(), at)


def test_at_takes_whole_numbers():
    with pytest.raises(UsageError, match="whole numbers"):
        retention(oracle_trace(), torch.zeros(4))


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
def test_a_plain_rnn_is_refused_by_name(cell):
    for function in (retention, ledger, memory_age):
        with pytest.raises(UsageError, match=cell):
            function(oracle_trace(cell))


@pytest.mark.parametrize(
    ("lengths", "reverse"), [(None, False), (None, True), ([7, 3, 1, 5], False), ([7, 3, 1, 5], True)]
)
def test_memory_age_is_the_mean_of_ages_whose_weights_sum_to_one(lengths, reverse):
    lt = oracle_trace("gru", lengths=lengths, reverse=reverse)
    got = memory_age(lt)
    z = lt.z.numpy()
    for row in range(4):
        last = len(order(lt, row)) - 1
        for unit in range(5):
            shares, start = retention_by_products(lt, row, unit, last)
            steps = order(lt, row)
            weights = [shares[s] * (1 - z[s, row, unit]) for s in steps] + [start]
            ages = [last - k for k in range(len(steps))] + [last + 1]
            assert sum(weights) == pytest.approx(1, abs=1e-14)
            assert float(got[row, unit]) == pytest.approx(np.dot(weights, ages), rel=1e-12)


def test_memory_age_needs_a_gru():
    with pytest.raises(UsageError, match="not for a lstm"):
        memory_age(oracle_trace("lstm"))


def test_the_ledger_is_differentiable():
    gates = [torch.rand(4, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    state = torch.zeros(2, 3, dtype=torch.float64)

    def contributions(i, f, g, o):
        lt = LayerTrace(
            "", 0, "reverse", "lstm", {"i": i, "f": f, "g": g, "o": o}, o, state, c=o, c0=state + 1,
            lengths=torch.tensor([4, 2]),
        )  # fmt: skip
        led = ledger(lt)
        return led.contributions, led.initial

    assert torch.autograd.gradcheck(contributions, gates, atol=1e-8)
