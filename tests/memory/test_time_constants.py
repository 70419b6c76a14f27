"""Time constants, half-lives and saturation against closed forms and counts."""

import math

import numpy as np
import pytest
import torch
from memory_cases import oracle_trace

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, half_life, saturation, time_constants


def lstm_with_forget_gate(f, lengths=None):
    other = torch.full_like(f, 0.5)
    state = torch.zeros(f.shape[1:], dtype=f.dtype)
    gates = {"i": other, "f": f, "g": other, "o": other}
    lengths = None if lengths is None else torch.tensor(lengths)
    return LayerTrace("", 0, "forward", "lstm", gates, other, state, c=other, c0=state, lengths=lengths)


@pytest.mark.parametrize(("bias", "steps"), [(0, 1.4), (1, 3.2), (2, 7.9), (3, 20.6), (5, 149)])
def test_a_forget_bias_sets_the_time_constant(bias, steps):
    f = torch.full((9, 2, 3), float(bias), dtype=torch.float64).sigmoid()
    tau = time_constants(lstm_with_forget_gate(f))
    np.testing.assert_allclose(tau, 1 / math.log1p(math.exp(-bias)), rtol=1e-12)
    np.testing.assert_allclose(tau, steps, atol=0.05 if steps < 100 else 0.5)  # rounded figures
    expected = math.log(0.5) / f[0, 0].log().numpy()
    np.testing.assert_allclose(half_life(lstm_with_forget_gate(f)), expected, rtol=1e-12)


def test_only_valid_steps_count_and_all_rows_share_the_mean():
    f = torch.rand(6, 3, 4, dtype=torch.float64)
    lengths = [6, 2, 0]
    logs = np.concatenate([f[:6, 0].log(), f[:2, 1].log()])
    f[2:, 1], f[:, 2] = 0, 0
    np.testing.assert_allclose(
        time_constants(lstm_with_forget_gate(f, lengths)), -1 / logs.mean(0), rtol=1e-12
    )


def test_a_gate_that_never_closes_and_one_that_was_shut():
    f = torch.full((5, 1, 2), 1.0)
    f[2, 0, 1] = 0.0
    assert time_constants(lstm_with_forget_gate(f)).tolist() == [math.inf, 0.0]


def test_no_valid_step_gives_nan():
    f = torch.full((5, 1, 2), 0.5)
    lt = lstm_with_forget_gate(f, [0])
    assert time_constants(lt).isnan().all()
    assert all(share.isnan().all() for pair in saturation(lt).values() for share in pair)


def test_the_gru_keeps_by_its_update_gate():
    lt = oracle_trace("gru")
    np.testing.assert_allclose(time_constants(lt), -1 / np.log(lt.z.numpy()).mean((0, 1)), rtol=1e-12)


def test_saturation_counts_valid_steps_beyond_the_thresholds():
    f = torch.tensor([0.05, 0.1, 0.5, 0.95, 0.99, 0.0]).reshape(6, 1, 1)
    left, right = saturation(lstm_with_forget_gate(f, [5]))["f"]
    assert left.tolist() == pytest.approx([1 / 5])
    assert right.tolist() == pytest.approx([2 / 5])


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifo"), ("gru", "rz"), ("rnn_tanh", "")])
def test_saturation_is_of_the_sigmoid_gates(cell, gates):
    lt = oracle_trace(cell, scale=6.0)
    shares = saturation(lt)
    assert list(shares) == list(gates)
    for name, (left, right) in shares.items():
        gate = lt.gates[name].numpy()
        np.testing.assert_allclose(left, (gate < 0.1).mean((0, 1)), rtol=1e-12)
        np.testing.assert_allclose(right, (gate > 0.9).mean((0, 1)), rtol=1e-12)


def test_a_plain_rnn_has_no_time_constant():
    with pytest.raises(UsageError, match="rnn_relu"):
        time_constants(oracle_trace("rnn_relu"))
