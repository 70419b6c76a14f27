"""What cannot be opened is refused by name, in one sentence, before anything runs."""

import warnings

import pytest
import torch
from record_cases import Nest
from torch import nn

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import record


def refuses(model, match):
    with pytest.raises(UsageError, match=match), record(model):
        pytest.fail("the block must not run")


def test_a_model_without_recurrent_layers():
    refuses(nn.Sequential(nn.Linear(3, 4)), "Sequential holds no recurrent layer")


def quantised(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the move of its quantisation to another package
        return torch.ao.quantization.quantize_dynamic(
            model, {type(m) for m in model.modules()} - {type(model)}
        )


@pytest.mark.parametrize(
    "module", [nn.LSTM(3, 4), nn.GRU(3, 4), nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4)]
)
def test_a_quantised_layer(module):
    model = quantised(nn.Sequential(module))
    assert type(model[0]).__module__.startswith("torch.ao.nn.quantized")
    refuses(model, f"^0 is a quantised {type(module).__name__}, which cannot be opened$")


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def test_a_scripted_layer():
    refuses(scripted(nn.LSTM(3, 4)), "^the model is a scripted LSTM, which cannot be opened$")
    refuses(scripted(nn.Sequential(nn.Linear(3, 3), nn.GRUCell(3, 4))), "^1 is a scripted GRUCell")


def test_a_scripted_part_without_recurrence_is_no_obstacle():
    model = nn.Sequential(scripted(nn.Linear(3, 3)), nn.LSTM(3, 4))
    with record(model) as trace:
        model(torch.randn(5, 2, 3))
    assert trace["1"][0].residual <= 1e-6


@pytest.mark.parametrize("cls", [nn.LSTM, gwl.LSTM])
def test_a_compiled_model(cls):
    refuses(
        torch.compile(Nest(cls(3, 4)), backend="eager"), "^the model is compiled, and a compiled model skips"
    )
    in_place = Nest(cls(3, 4))
    in_place.body["rnn"].compile(backend="eager")
    refuses(in_place, "^body.rnn is compiled")


def test_a_subclass_of_a_cell_or_of_a_layer_of_ours_with_a_forward_of_its_own():
    for cls in (nn.GRUCell, gwl.GRU):
        doubled = type("Doubled", (cls,), {"forward": lambda self, x: super(type(self), self).forward(x * 2)})
        refuses(Nest(doubled(3, 4)), "^body.rnn is a Doubled, whose forward is not that of .*, so its gates")


def test_a_subclass_that_keeps_the_forward_is_opened():
    class Named(nn.GRU):
        pass

    layer = Named(3, 4)
    with record(layer) as trace:
        layer(torch.randn(5, 2, 3))
    assert trace[""][0].cell == "gru"
