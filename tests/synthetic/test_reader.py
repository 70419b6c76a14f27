"""The network of the synthetic tasks."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from gatewise.synthetic.reader import Reader


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_symbols_that_are_looked_up_are_one_hot_inputs(cell):
    torch.manual_seed(1)
    looked_up = Reader(cell, 7, 5, 3, horizon=9, lookup=True).double()
    shown = Reader(cell, 7, 5, 3, horizon=9).double()
    weights = {k: v for k, v in looked_up.state_dict().items() if k in shown.state_dict()}
    shown.load_state_dict(weights | {"recurrent.weight_ih_l0": looked_up.columns.weight.t()})
    assert looked_up.columns.weight.abs().max() <= 5**-0.5
    x = torch.randint(7, (6, 4))
    outputs = looked_up(x)[0], shown(one_hot(x, 7).double())[0]
    np.testing.assert_allclose(*(output.detach() for output in outputs), atol=1e-14)
    for output in outputs:
        output.square().sum().backward()
    for name, parameter in shown.named_parameters():
        if name == "recurrent.weight_ih_l0":
            np.testing.assert_allclose(parameter.grad.t(), looked_up.columns.weight.grad, atol=1e-13)
        else:
            np.testing.assert_allclose(parameter.grad, looked_up.get_parameter(name).grad, atol=1e-13)
    assert looked_up.recurrent.weight_ih_l0.grad is None
