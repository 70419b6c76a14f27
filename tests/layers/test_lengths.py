"""`lengths=`: equal to each row alone and to a PackedSequence; and what is refused."""

import numpy as np
import pytest
import torch
from layer_pairs import KINDS, H, I, flat, gradients, initial, pair
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise as gw
from gatewise.errors import UsageError

every_kind = pytest.mark.parametrize("kind", KINDS)


def states(kind, passes, B):
    hx = initial(kind, passes, (B,))
    return hx, *(hx if isinstance(hx, tuple) else (hx, None))


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_equal_to_each_row_alone(kind, bidirectional, batch_first):
    layer, _ = pair(kind, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    lengths = [3, 0, 5, 1, 3]
    x = torch.randn(5, 5, I, dtype=torch.float64)
    output, state = layer(x, lengths=lengths)
    output, x = (output, x) if batch_first else (output.transpose(0, 1), x.transpose(0, 1))
    for b, n in enumerate(lengths):
        alone, alone_state = layer(x[b, :n][None] if batch_first else x[b, :n][:, None])
        torch.testing.assert_close(
            output[b, :n], alone[0] if batch_first else alone[:, 0], rtol=1e-13, atol=1e-13
        )
        assert not output[b, n:].any()
        for got, expected in zip(flat(state), flat(alone_state), strict=True):
            torch.testing.assert_close(got[:, b], expected[:, 0], rtol=1e-13, atol=1e-13)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("backend", [None, "naive"])
def test_equal_to_torch_with_a_packed_sequence(kind, bidirectional, batch_first, backend):
    ours, theirs = pair(kind, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    lengths = torch.tensor([3, 5, 1, 3])
    x = torch.randn(*((4, 5) if batch_first else (5, 4)), I, dtype=torch.float64, requires_grad=True)
    packed = pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=False)
    expected, state = theirs(packed)
    expected = (pad_packed_sequence(expected, batch_first=batch_first)[0], state)
    if backend is None:
        got = ours(x, lengths=lengths)
    else:
        with gw.backend(backend):
            got = ours(x, lengths=lengths)
    for g, e in zip(flat(got), flat(expected), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-12, atol=1e-12)
    leaves = [[x, *layer.parameters()] for layer in (ours, theirs)]
    for g, e in zip(gradients(got, leaves[0]), gradients(expected, leaves[1]), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8, "list", "numpy"])
def test_lengths_of_any_integer_type(dtype):
    layer, _ = pair("gru")
    x = torch.randn(5, 3, I, dtype=torch.float64)
    values = [2, 5, 0]
    given = (
        values
        if dtype == "list"
        else np.array(values)
        if dtype == "numpy"
        else torch.tensor(values, dtype=dtype)
    )
    expected, state = layer(x, lengths=torch.tensor(values))
    output, got = layer(x, lengths=given)
    assert torch.equal(output, expected) and torch.equal(got, state)


def test_lengths_are_not_changed_and_may_have_strides():
    layer, _ = pair("lstm")
    x = torch.randn(5, 3, I, dtype=torch.float64)
    wide = torch.tensor([2, 9, 5, 9, 0, 9])
    output, _ = layer(x, lengths=wide[::2])
    assert wide.tolist() == [2, 9, 5, 9, 0, 9]
    assert torch.equal(output, layer(x, lengths=[2, 5, 0])[0])


def test_full_lengths_are_no_lengths():
    for kind in KINDS:
        layer, _ = pair(kind, num_layers=2, bidirectional=True)
        x = torch.randn(5, 3, I, dtype=torch.float64)
        for got, expected in zip(flat(layer(x, lengths=[5, 5, 5])), flat(layer(x)), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)


@every_kind
def test_padding_may_hold_nan_through_a_deep_layer(kind):
    layer, _ = pair(kind, num_layers=2, bidirectional=True)
    lengths = torch.tensor([3, 0, 5, 2])
    mask = (torch.arange(5)[:, None] >= lengths)[..., None]
    seen = []
    for fill in (0.0, float("nan")):
        torch.manual_seed(1)
        x = torch.randn(5, 4, I, dtype=torch.float64).masked_fill(mask, fill).requires_grad_()
        result = layer(x, lengths=lengths)
        seen.append([*flat(result), *gradients(result, [x, *layer.parameters()])])
    for clean, dirty in zip(*seen, strict=True):
        assert torch.equal(dirty, clean)


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
def test_empty_sequences_and_batches(kind, bidirectional, T, B):
    layer, _ = pair(kind, num_layers=2, bidirectional=bidirectional)
    D = 2 if bidirectional else 1
    hx, h0, c0 = states(kind, 2 * D, B)
    x = torch.zeros(T, B, I, dtype=torch.float64, requires_grad=True)
    for lengths in (None, torch.zeros(B, dtype=torch.int64)):
        output, state = layer(x, hx, lengths=lengths)
        assert output.shape == (T, B, D * layer.output_size)
        assert output.requires_grad
        for got, given in zip(flat(state), (h0, c0), strict=False):
            assert torch.equal(got, given)
            (gradient,) = torch.autograd.grad(got.sum(), given, retain_graph=True)
            assert torch.equal(gradient, torch.ones_like(given))
    unasked, state = layer(x)
    assert unasked.shape == (T, B, D * layer.output_size) and not flat(state)[0].any()


def test_unbatched_input_takes_one_length():
    layer, _ = pair("lstm")
    x = torch.randn(5, I, dtype=torch.float64)
    output, (h_n, c_n) = layer(x, lengths=[3])
    expected, (e_h, e_c) = layer(x[:3])
    torch.testing.assert_close(output[:3], expected)
    assert not output[3:].any()
    torch.testing.assert_close(h_n, e_h)
    torch.testing.assert_close(c_n, e_c)


REFUSED = [
    ([2, 9, 1], r"lengths go from 1 to 9; x has 5 steps, so they must lie between 0 and 5"),
    ([2, -1, 1], r"lengths go from -1 to 2; x has 5 steps, so they must lie between 0 and 5"),
    ([2, 1], r"lengths have shape \(2,\); x has 3 rows, so they must be \(3,\)"),
    ([[2, 1, 1]], r"lengths have shape \(1, 3\); x has 3 rows, so they must be \(3,\)"),
    ([2.0, 1.0, 1.0], r"lengths are torch.float32; they are counts of steps"),
    ([True, True, False], r"lengths are torch.bool; they are counts of steps"),
]


@pytest.mark.parametrize(("lengths", "message"), REFUSED)
@pytest.mark.parametrize("batch_first", [False, True])
def test_wrong_lengths_are_refused_with_the_numbers(lengths, message, batch_first):
    layer = gw.GRU(I, H, batch_first=batch_first)
    x = torch.randn(*((3, 5) if batch_first else (5, 3)), I)
    with pytest.raises(UsageError, match=message):
        layer(x, lengths=lengths)


def test_lengths_beside_a_packed_sequence_are_refused():
    packed = pack_padded_sequence(torch.randn(5, 2, I), torch.tensor([5, 2]))
    with pytest.raises(UsageError, match=r"x is a PackedSequence, which has its own lengths"):
        gw.LSTM(I, H)(packed, lengths=[5, 2])


def test_no_lengths_for_no_rows():
    output, state = gw.GRU(I, H)(torch.zeros(5, 0, I), lengths=[])
    assert output.shape == (5, 0, H) and state.shape == (1, 0, H)
