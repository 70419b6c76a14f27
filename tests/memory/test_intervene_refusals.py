"""What an intervention cannot mean is refused in one sentence with the numbers, where it is asked for."""

import re

import pytest
import torch
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.memory import Clamp, Erase, Hold

LSTM = nn.LSTM(3, 4, num_layers=2)
TWO = nn.ModuleDict({"a": nn.LSTM(3, 4), "b": gw.GRU(3, 4, bidirectional=True), "c": nn.GRUCell(3, 4)})
RNN = nn.RNN(3, 4)
ONE = "the model, layer 0"

AT_THE_DOOR = [
    (TWO, Hold("f", 1), "the model holds 3 recurrent modules; say which with path=, of 'a', 'b', 'c'"),
    (TWO, Hold("f", 1, path="d"), "there is no recurrent module at 'd'; the recurrent modules are 'a', 'b', 'c'"),
    (TWO, Hold("f", 1, path="c"), "c is a GRUCell that is called step by step; change its state between the calls"),
    (LSTM, Hold("f", 1, layer=2), "the model has no layer [2]; it has 2, counted from 0, none of them reverse"),
    (LSTM, Hold("f", 1, layer=(0, "reverse")), 'the model has no layer [0, "reverse"]; it has 2, counted from 0, none'),
    (TWO, Hold("z", 1, path="b", layer=(1, "reverse")), 'b has no layer [1, "reverse"]; it has 1, counted from 0'),
    (LSTM, Hold("z", 1), f"{ONE}: a lstm has no gate 'z'; it has i, f, g, o"),
    (TWO, Hold("f", 1, path="b"), "b, layer 0: a gru has no gate 'f'; it has r, z, n"),
    (TWO, Clamp("c", 1, path="b"), "b, layer 0: a gru has no state 'c'; it has h"),
    (LSTM, Clamp("f", 1), f"{ONE}: a lstm has no state 'f'; it has c and h"),
    (RNN, Hold("h", 1), f"{ONE}: a plain RNN (rnn_tanh) has no gates to hold; its h can be clamped"),
    (RNN, Erase(steps=1), f"{ONE}: a plain RNN (rnn_tanh) keeps no sum of what it wrote, so no write of it"),
    (gw.LSTM(3, 4, coupled=True), Hold("i", 1), f"{ONE}: its gates are coupled, i = 1 - f; hold f"),
    (LSTM, Hold("f", 1.5), f"{ONE}: f is held at 1.5; it lies between 0 and 1"),
    (LSTM, Hold("i", torch.tensor([0.5, float("nan")])), f"{ONE}: i is held at nan; it lies between 0 and 1"),
    (LSTM, Hold("g", -2), f"{ONE}: g is held at -2; it lies between -1 and 1"),
    (LSTM, Hold("f", 1, units=[1, 4]), f"{ONE}: there is no unit 4 among 4 units, which count from 0"),
    (nn.LSTM(3, 4, proj_size=2), Clamp("h", 1, units=2), f"{ONE}: there is no unit 2 among 2 units"),
    (LSTM, Hold("f", 1, units=-1), f"{ONE}: there is no unit -1 among 4 units"),
    (LSTM, Hold("f", 1, units=[1, 1]), f"{ONE}: units name unit 1 twice"),
    (LSTM, Hold("f", 1, units=slice(-2, None)), f"{ONE}: units=slice(-2, None, None) counts from the end; units count"),
    (LSTM, Hold("f", 1, units=[]), f"{ONE}: units=[] names none of the 4 units"),
    (LSTM, Hold("f", 1, units="f"), f"{ONE}: units='f'; it takes a whole number, a slice"),
    (LSTM, Hold("f", 1, units=True), f"{ONE}: units=True; it takes a whole number, a slice"),
    (LSTM, "f", "'f' is no intervention; there are Clamp, Hold and Erase"),
]  # fmt: skip

AT_THE_CALL = [
    ([Hold("f", 1, steps=7)], "there is no step 7 among 7 steps, which count from 0"),
    ([Hold("f", 1, steps=slice(9, None))], "steps=slice(9, None, None) names none of the 7 steps"),
    ([Clamp("c", 1, rows=2)], "there is no row 2 among 2 rows, which count from 0"),
    ([Clamp("c", torch.zeros(3))], "the value of c has shape (3,); here it must broadcast to (2, 4)"),
    (
        [Clamp("c", torch.zeros(6, 2, 4))],
        "the value of c has shape (6, 2, 4); here it must broadcast to (7, 2, 4)",
    ),
    ([Erase(steps=2, at=7)], "there is no step 7 among 7 steps"),
    ([Erase(steps=[2, 4], at=3)], "at=3 runs before step 4, whose write it would erase; choose a later one"),
    ([Erase(steps=[2, 4]), Erase(steps=4, at=6)], "two Erase take out what step 4 wrote into the same units"),
]


def sentence(match):
    return "^" + re.escape(match)


@pytest.mark.parametrize(("model", "intervention", "match"), AT_THE_DOOR)
def test_at_the_door(model, intervention, match):
    with pytest.raises(UsageError, match=sentence(match)), gw.intervene(model, intervention):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("layer", [nn.LSTM(3, 4), gw.LSTM(3, 4)])
@pytest.mark.parametrize(("interventions", "match"), AT_THE_CALL)
def test_at_the_call(layer, interventions, match):
    with pytest.raises(UsageError, match=sentence(f"{ONE}: {match}")), gw.intervene(layer, *interventions):
        layer(torch.zeros(7, 2, 3))
    layer(torch.zeros(7, 2, 3))


def test_in_reverse_an_erasure_runs_after_a_larger_index():
    layer, match = gw.LSTM(3, 4, bidirectional=True), "^the model, layer 0 reverse: at=3 runs before step 2"
    erase = Erase(steps=2, at=3, layer=(0, "reverse"))
    with pytest.raises(UsageError, match=match), gw.intervene(layer, erase):
        layer(torch.zeros(7, 2, 3))


def test_disjoint_erasures_of_one_step_are_allowed():
    layer, x = gw.LSTM(3, 4), torch.randn(7, 2, 3)
    with gw.record(layer) as trace:
        with gw.intervene(layer, Erase(steps=4, units=[0, 1]), Erase(steps=4, units=[2, 3])):
            layer(x)
        with gw.intervene(layer, Erase(steps=4)):
            layer(x)
    halves, whole = (call[0] for call in trace[""].calls)
    assert torch.equal(halves.c, whole.c)


def test_a_compiled_model():
    model = torch.compile(nn.Sequential(nn.LSTM(3, 4)), backend="eager")
    with pytest.raises(UsageError, match=r"^the model is compiled"), gw.intervene(model, Hold("f", 1)):
        pytest.fail("the block must not run")


def test_a_model_without_recurrent_layers():
    with pytest.raises(UsageError, match=r"^Linear holds no recurrent layer"), gw.intervene(nn.Linear(3, 4)):
        pytest.fail("the block must not run")


def test_a_forced_backend():
    layer = gw.LSTM(3, 4)
    with gw.intervene(layer, Hold("f", 1)):
        with gw.backend("naive"):
            layer(torch.zeros(7, 2, 3))
        with (
            gw.backend("aten"),
            pytest.raises(UsageError, match=r"^the backend 'aten' runs no changed steps"),
        ):
            layer(torch.zeros(7, 2, 3))


@pytest.mark.parametrize("layer", [nn.LSTM(3, 4), gw.LSTM(3, 4)])
def test_what_follows_a_layers_own_equations(layer):
    x = torch.zeros(7, 2, 3)
    with (
        gw.intervene(layer, Hold("f", 1)),
        pytest.raises(
            UsageError, match=r"^the model is intervened upon, and this follows a layer's own equations"
        ),
    ):
        gw.memory.gradient_flow(layer, x, lambda out: out[0].sum())
    gw.memory.gradient_flow(layer, x, lambda out: out[0].sum())


def test_the_patch_of_somebody_else_stands_again_afterwards():
    layer = nn.LSTM(3, 4)
    patch = layer.forward
    layer.forward = patch
    with gw.intervene(layer, Hold("f", 1)):
        layer(torch.zeros(7, 2, 3))
    assert vars(layer)["forward"] is patch
