"""Two traces of one layer side by side, with gates that are set by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_cases import oracle_trace

from gatewise.errors import UsageError
from gatewise.memory import compare


def with_gates(lt, **gates):
    """The trace with every step's gates as given, a number or [H]."""
    fixed = {name: torch.as_tensor(value, dtype=lt.h.dtype).expand_as(lt.h) for name, value in gates.items()}
    return replace(lt, gates=lt.gates | fixed)


def test_every_unit_is_set_beside_itself():
    before = with_gates(oracle_trace("lstm", H=3), i=0.5, o=0.5, f=[0.5, 0.5, 0.95])
    after = with_gates(before, f=[0.95, 0.5, 0.25])
    change = compare(before, after)
    np.testing.assert_allclose(change.tau_before, -1 / np.log([0.5, 0.5, 0.95]), rtol=1e-12)
    np.testing.assert_allclose(change.tau_after, -1 / np.log([0.95, 0.5, 0.25]), rtol=1e-12)
    np.testing.assert_allclose(change.half_life_after, [math.log(0.5, 0.95), 1.0, 0.5], rtol=1e-12)
    assert change.longer == 1
    assert [side.tolist() for side in change.saturation_before["f"]] == [[0, 0, 0], [0, 0, 1]]
    assert [side.tolist() for side in change.saturation_after["f"]] == [[0, 0, 0], [1, 0, 0]]


def test_the_sentence_names_the_gate_that_moved_most():
    before = with_gates(oracle_trace("lstm", H=4), f=0.5, i=[0.05, 0.5, 0.5, 0.5], o=0.95)
    after = with_gates(before, f=[0.5**0.25] * 3 + [0.5], i=[0.05, 0.05, 0.05, 0.5], o=0.95)
    assert compare(before, after).sentence == (
        "net.rnn, layer 0: the median half-life went from 1 to 4 steps (longer in 3 of 4 units), "
        "and i is below 0.1 in 75% of the steps, 25% before."
    )


def test_a_gru_by_its_update_gate():
    before, after = oracle_trace("gru"), oracle_trace("gru", seed=1, T=9)
    change = compare(before, after)
    np.testing.assert_allclose(change.tau_after, -1 / np.log(after.z.numpy()).mean((0, 1)), rtol=1e-12)
    assert list(change.saturation_after) == ["r", "z"]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("rnn_tanh", "rnn_tanh", "plain RNN"),
        ("lstm", "gru", "before is a lstm of 5 units and after a gru of 5 units"),
    ],
)
def test_what_cannot_be_compared(before, after, sentence):
    with pytest.raises(UsageError, match=sentence):
        compare(oracle_trace(before), oracle_trace(after))


def test_other_sizes_and_traces_without_numbers():
    with pytest.raises(UsageError, match="before is a lstm of 5 units and after a lstm of 6 units"):
        compare(oracle_trace("lstm"), oracle_trace("lstm", H=6))
    with pytest.raises(UsageError, match="5 of 5 units have no time constant"):
        compare(oracle_trace("lstm"), with_gates(oracle_trace("lstm"), f=math.nan))
