"""`gw.Stack`: the layers one after another, states in and out as a tuple with one native state a layer."""

import pytest
import torch
from layer_pairs import flat, gradients
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import gatewise as gw
from gatewise.errors import UsageError


def layers(batch_first=False):
    options = {"batch_first": batch_first, "dtype": torch.float64}
    return [
        gw.GRU(3, 4, bidirectional=True, **options),
        gw.LSTM(8, 6, num_layers=2, proj_size=5, **options),
        gw.RNN(5, 2, nonlinearity="relu", **options),
    ]


def one_after_another(parts, x, hx=(None, None, None), lengths=None):
    states = []
    for layer, state in zip(parts, hx, strict=True):
        x, state = layer(x, state, lengths=lengths)
        states.append(state)
    return x, tuple(states)


def given_states(B=4):
    def draw(*shape):
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    return draw(2, B, 4), (draw(2, B, 5), draw(2, B, 6)), draw(1, B, 2)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 0, 5, 3]])
@pytest.mark.parametrize("hx", ["none", "given", "partly"])
def test_equals_the_layers_one_after_another(batch_first, lengths, hx):
    parts = layers(batch_first)
    stack = gw.Stack(parts)
    x = torch.randn(*((4, 5) if batch_first else (5, 4)), 3, dtype=torch.float64, requires_grad=True)
    states = {"none": None, "given": given_states(), "partly": (None, given_states()[1], None)}[hx]
    got = stack(x, states, lengths=lengths)
    expected = one_after_another(parts, x, states or (None, None, None), lengths)
    assert isinstance(got[1], tuple) and len(got[1]) == 3
    assert isinstance(got[1][0], torch.Tensor) and isinstance(got[1][1], tuple)
    for g, e in zip(flat(got), flat(expected), strict=True):
        assert torch.equal(g, e)
    leaves = [x, *(t for s in states or () if s is not None for t in flat(s)), *stack.parameters()]
    for g, e in zip(gradients(got, leaves), gradients(expected, leaves), strict=True):
        assert torch.equal(g, e)


def test_its_states_go_back_in():
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    forward = gw.Stack([gw.GRU(3, 4, dtype=torch.float64), gw.LSTM(4, 2, dtype=torch.float64)])
    whole, end = forward(x)
    first, middle = forward(x[:2])
    second, last = forward(x[2:], middle)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-13, atol=1e-13)
    for g, e in zip(flat(last), flat(end), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-13, atol=1e-13)


def test_packed_in_packed_out():
    parts = layers()
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 1]), enforce_sorted=False)
    output, states = gw.Stack(parts)(packed)
    expected, expected_states = one_after_another(parts, packed)
    assert isinstance(output, PackedSequence)
    assert torch.equal(output.data, expected.data) and torch.equal(output.batch_sizes, expected.batch_sizes)
    assert torch.equal(output.unsorted_indices, expected.unsorted_indices)
    for g, e in zip(flat(states), flat(expected_states), strict=True):
        assert torch.equal(g, e)


def test_unbatched_input():
    parts = layers()
    x = torch.randn(5, 3, dtype=torch.float64)
    for g, e in zip(flat(gw.Stack(parts)(x)), flat(one_after_another(parts, x)), strict=True):
        assert torch.equal(g, e)


def test_dropout_stands_between_the_layers_in_training_only():
    parts = [gw.GRU(3, 4), gw.LSTM(4, 5), gw.RNN(5, 2)]
    x = torch.randn(5, 2, 3)
    stack = gw.Stack(parts, dropout=1.0)
    output, states = stack(x)
    assert torch.equal(states[0], parts[0](x)[1])  # the first layer sees x itself
    for k, width in ((1, 4), (2, 5)):  # the others see zeros
        for g, e in zip(flat(states[k]), flat(parts[k](torch.zeros(5, 2, width))[1]), strict=True):
            assert torch.equal(g, e)
    assert output.any()  # nothing is dropped after the last
    stack.eval()
    for g, e in zip(flat(stack(x)), flat(one_after_another(parts, x)), strict=True):
        assert torch.equal(g, e)


def test_state_dict_goes_round():
    torch.manual_seed(1)
    stack, other = gw.Stack(layers()), gw.Stack(layers())
    assert not torch.equal(stack.layers[0].weight_ih_l0, other.layers[0].weight_ih_l0)
    other.load_state_dict(stack.state_dict(), strict=True)
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    assert torch.equal(stack(x)[0], other(x)[0])
    assert len(list(stack.parameters())) == 8 + 10 + 4


REFUSED = [
    (lambda: gw.Stack([]), r"a Stack holds 0 layers"),
    (
        lambda: gw.Stack([gw.GRU(3, 4), gw.LSTM(5, 6)]),
        r"layer 0.* 4 features; layer 1 was built with input_size=5",
    ),
    (
        lambda: gw.Stack([gw.LSTM(3, 4, proj_size=2, bidirectional=True), gw.LSTM(8, 6)]),
        r"layer 0.* 4 features; layer 1 was built with input_size=8",
    ),
    (
        lambda: gw.Stack([gw.GRU(3, 4, batch_first=True), gw.LSTM(4, 6)]),
        r"layer 0 has batch_first=True, layer 1 has batch_first=False",
    ),
    (lambda: gw.Stack([gw.GRU(3, 4)], dropout=2), r"dropout is 2"),
    (
        lambda: gw.Stack([gw.GRU(3, 4), gw.LSTM(4, 6)])(torch.randn(5, 2, 3), (None,)),
        r"hx holds 1 states; the stack has 2 layers",
    ),
    (lambda: gw.Stack([torch.nn.GRU(3, 4), gw.LSTM(4, 6)]), r"GRU"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_refused_with_the_numbers(call, message):
    with pytest.raises(UsageError, match=message):
        call()
