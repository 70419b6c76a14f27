"""The layers that the recipes train: their kinds, their first weights."""

import numpy as np
import pytest
import torch
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.layers.building import build_recurrent


def test_first_weights_are_orthogonal_with_the_forget_bias_once():
    layer = build_recurrent(["lstm"], 5, 8, bidirectional=True, forget_bias=2.0)
    for suffix in ("l0", "l0_reverse"):
        for gate in getattr(layer, f"weight_hh_{suffix}").detach().split(8):
            np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-5)
        bound = (6 / (8 + 5)) ** 0.5
        assert 0.8 * bound < getattr(layer, f"weight_ih_{suffix}").abs().max() <= bound
        assert getattr(layer, f"bias_ih_{suffix}").tolist() == [0.0] * 8 + [2.0] * 8 + [0.0] * 16
        assert getattr(layer, f"bias_hh_{suffix}").tolist() == [0.0] * 32


def test_chrono_starts_with_memories_up_to_its_steps_in_place_of_the_forget_bias():
    i, f, g, o = build_recurrent(["lstm"], 5, 8, chrono=50, forget_bias=9.0).bias_ih_l0.detach().split(8)
    assert 0 <= f.min() < f.max() <= np.log(49) + 1e-6
    assert torch.equal(i, -f)
    assert not torch.cat([g, o]).any()
    r, z, n = build_recurrent(["gru"], 5, 8, chrono=50).bias_ih_l0.split(8)
    assert 0 <= z.min() < z.max() <= np.log(49) + 1e-6
    assert not torch.cat([r, n]).any()


def test_a_layer_of_torch_with_the_same_weights_gives_the_same_states():
    mine = build_recurrent(["lstm"], 4, 7, bidirectional=True)
    theirs = nn.LSTM(4, 7, bidirectional=True)
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(9, 2, 4)
    np.testing.assert_allclose(mine(x)[0].detach(), theirs(x)[0].detach(), atol=1e-6)


def test_several_cells_make_a_stack_whose_sizes_fit():
    stack = build_recurrent(["gru", "lstm"], 4, 6, bidirectional=True, dropout=0.3)
    assert isinstance(stack, gw.Stack)
    assert [(type(m).__name__, m.input_size) for m in stack.layers] == [("GRU", 4), ("LSTM", 12)]
    assert stack.dropout == 0.3
    assert stack(torch.zeros(3, 2, 4))[0].shape == (3, 2, 12)


def test_a_variant_keeps_the_first_weights_of_its_own():
    layer = build_recurrent(["lstm"], 4, 6, layer_norm=True)
    gains = [
        p for name, p in layer.named_parameters() if not name.startswith(("weight_ih", "weight_hh", "bias_"))
    ]
    assert gains
    assert any((gain == 1).all() for gain in gains)


@pytest.mark.parametrize("cells", [[], ["lstm", "lstn"]])
def test_no_cell_and_an_unknown_one_are_refused(cells):
    with pytest.raises(UsageError, match=r"cells are \[.*\]; give one or more of rnn, gru, lstm"):
        build_recurrent(cells, 4, 6)
