"""`resets=` at a layer's door: every form of input, stacks, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from layer_pairs import KINDS, H, I, flat, initial, pair
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise as gw
from gatewise.errors import UsageError

every_kind = pytest.mark.parametrize("kind", KINDS)
T, B = 6, 3


def borders():
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[[0, 3], 0] = resets[4, 1] = True
    return resets


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
def test_segments_are_rows_of_their_own(kind, bidirectional):
    layer, _ = pair(kind, bidirectional=bidirectional, num_layers=2)
    x = torch.randn(T, B, I, dtype=torch.float64)
    output, _ = layer(x, resets=borders())
    for b, cuts in enumerate([(0, 3, T), (0, 4, T), (0, T)]):
        for first, last in pairwise(cuts):
            alone, _ = layer(x[first:last, b : b + 1])
            torch.testing.assert_close(output[first:last, b], alone[:, 0], rtol=1e-13, atol=1e-13)


@every_kind
def test_batch_first_and_unbatched(kind):
    layer, _ = pair(kind, bidirectional=True)
    turned, _ = pair(kind, bidirectional=True, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x, hx = torch.randn(T, B, I, dtype=torch.float64), initial(kind, 2, (B,))
    expected, states = layer(x, hx, resets=borders())
    got, got_states = turned(x.transpose(0, 1), hx, resets=borders().t())
    assert torch.equal(got.transpose(0, 1), expected)
    for a, b in zip(flat(got_states), flat(states), strict=True):
        assert torch.equal(a, b)
    one = tuple(s[:, 0] for s in hx) if isinstance(hx, tuple) else hx[:, 0]
    alone, alone_states = layer(x[:, 0], one, resets=borders()[:, 0])
    torch.testing.assert_close(alone, expected[:, 0], rtol=1e-13, atol=1e-13)
    for a, b in zip(flat(alone_states), flat(states), strict=True):
        torch.testing.assert_close(a, b[:, 0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("given", ["list", "numpy"])
def test_resets_of_other_kinds_of_array(given):
    layer, _ = pair("gru")
    x = torch.randn(T, B, I, dtype=torch.float64)
    resets = borders().tolist() if given == "list" else borders().numpy()
    assert torch.equal(layer(x, resets=resets)[0], layer(x, resets=borders())[0])


def test_a_stack_passes_them_on():
    parts = [gw.GRU(3, 4, dtype=torch.float64), gw.LSTM(4, 5, dtype=torch.float64)]
    x = torch.randn(T, B, 3, dtype=torch.float64)
    lengths = [6, 5, 2]
    got, states = gw.Stack(parts)(x, lengths=lengths, resets=borders())
    middle, first = parts[0](x, lengths=lengths, resets=borders())
    expected, second = parts[1](middle, lengths=lengths, resets=borders())
    assert torch.equal(got, expected)
    for a, b in zip(flat(states), [first, *second], strict=True):
        assert torch.equal(a, b)


def test_they_are_not_changed():
    layer, _ = pair("lstm")
    resets = borders()
    layer(torch.randn(T, B, I, dtype=torch.float64), resets=resets)
    assert torch.equal(resets, borders())


def test_explain_backend_takes_them():
    choice = gw.explain_backend(gw.LSTM(I, H), torch.randn(T, B, I), resets=borders())
    assert choice.reasons["aten"] == "cannot: PyTorch's layers have no resets inside a sequence"


REFUSED = [
    (torch.zeros(T, B), False, r"resets are torch.float32; they say where a segment begins, so torch.bool"),
    (torch.zeros(T, B, dtype=torch.int64), False, r"resets are torch.int64"),
    (np.zeros((T, B)), False, r"resets are torch.float64"),
    (
        torch.zeros(B, T, dtype=torch.bool),
        False,
        r"resets have shape \(3, 6\); with this x they must be \(6, 3\)",
    ),
    (
        torch.zeros(T, B, dtype=torch.bool),
        True,
        r"resets have shape \(6, 3\); with this x they must be \(3, 6\)",
    ),
    (torch.zeros(T, dtype=torch.bool), False, r"resets have shape \(6,\); with this x they must be \(6, 3\)"),
    (torch.zeros(T, B, 1, dtype=torch.bool), False, r"resets have shape \(6, 3, 1\)"),
]


@pytest.mark.parametrize(("resets", "batch_first", "message"), REFUSED)
def test_wrong_resets_are_refused_with_the_numbers(resets, batch_first, message):
    layer = gw.GRU(I, H, batch_first=batch_first)
    x = torch.randn(*((B, T) if batch_first else (T, B)), I)
    with pytest.raises(UsageError, match=message):
        layer(x, resets=resets)


def test_unbatched_input_takes_a_row_of_them():
    with pytest.raises(UsageError, match=r"resets have shape \(6, 1\); with this x they must be \(6,\)"):
        gw.LSTM(I, H)(torch.randn(T, I), resets=torch.zeros(T, 1, dtype=torch.bool))


def test_beside_a_packed_sequence_they_are_refused():
    packed = pack_padded_sequence(torch.randn(T, 2, I), torch.tensor([6, 2]))
    with pytest.raises(UsageError, match=r"x is a PackedSequence, which takes no resets="):
        gw.LSTM(I, H)(packed, resets=torch.zeros(T, 2, dtype=torch.bool))
