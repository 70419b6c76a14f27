"""How far back a gradient reaches, in numbers and words; the part read at the last step; the table of a flow."""

import math

import pytest
import torch
from torch import nn

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import gradient_flow, gradient_reach

F64 = {"dtype": torch.float64}
T, B, SIZE = 7, 3, 2


def scaled(u, steps=20, reads="last", loss=lambda result: result[0].sum()):
    """The flow of a ReLU network of one unit that is linear where it runs: a gradient grows by u a step back."""
    rnn = nn.RNN(1, 1, bias=False, nonlinearity="relu", **F64)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
        rnn.weight_hh_l0.fill_(u)
    return gradient_flow(rnn, torch.ones(steps, 1, 1, **F64), loss, reads=reads)[""][0]


def test_a_gradient_that_halves_vanishes_after_seven_steps():
    """0.5⁷ = 0.0078 is the first power below 1 %."""
    found = gradient_reach(scaled(0.5))
    assert (found.verdict, found.reach, found.steps, found.growth) == ("vanishes", 7, 20, 1.0)
    assert found.left == pytest.approx(0.5**19, rel=1e-12)
    assert found.sentence == (
        "the model, layer 0: the gradient of h reaches 7 of 20 steps back: it falls to 1 % after 7 steps."
    )
    assert gradient_reach(scaled(0.5), vanished=0.2).reach == 3


def test_a_gradient_that_doubles_explodes():
    found = gradient_reach(scaled(2.0))
    assert (found.verdict, found.reach) == ("explodes", 20)
    assert found.growth == pytest.approx(2.0**19, rel=1e-12)
    assert found.sentence == (
        "the model, layer 0: the gradient of h explodes: it grows to 5.24e+05 times its size on its way back."
    )
    assert gradient_reach(scaled(2.0, steps=7)).verdict == "reaches all steps"  # 2⁶ = 64 times


def test_a_gradient_that_stays_reaches_the_first_step():
    found = gradient_reach(scaled(0.95))
    assert (found.verdict, found.reach) == ("reaches all steps", 20)
    assert (
        found.sentence
        == "the model, layer 0: the gradient of h reaches all 20 steps back: 38 % of it is left at the first."
    )
    assert found.left == pytest.approx(0.95**19, rel=1e-12)


def test_it_begins_where_the_loss_reads():
    """A loss that reads step 12 of 20 has no gradient at the last 7 steps, and seven steps more of it."""
    found = gradient_reach(scaled(0.5, reads="all", loss=lambda result: result[0][12].sum()))
    assert (found.verdict, found.reach, found.growth) == ("vanishes", 14, 1.0)


def test_a_gradient_that_is_zero_or_not_finite_is_called_so():
    zero = gradient_reach(scaled(0.5, loss=lambda result: 0 * result[0].sum()))
    assert (zero.verdict, zero.left) == ("is zero", 0)
    assert zero.sentence == "the model, layer 0: the gradient of h is zero at all 20 steps."
    endless = gradient_reach(scaled(1e200))
    assert (endless.verdict, endless.reach, endless.growth) == ("is not finite", 2, math.inf)
    assert endless.sentence == "the model, layer 0: the gradient of h is not finite from 2 steps back on."
    no_steps = gradient_flow(gwl.GRU(SIZE, 4), torch.randn(0, B, SIZE), lambda result: result[1].sum())
    assert no_steps.reaches[0].steps == 0 and no_steps.reaches[0].verdict == "is zero"


def test_of_an_lstm_it_is_that_of_the_cell_state():
    lf = gradient_flow(nn.LSTM(SIZE, 4), torch.randn(T, B, SIZE), lambda result: result[0][-1].sum())[""][0]
    assert gradient_reach(lf).of == "c" and gradient_reach(lf, "highway").of == "highway"
    assert gradient_reach(lf, "h").left == pytest.approx(float(lf.profile("h")[-1] / lf.profile("h").max()))
    assert "the highway's gradient reaches" in gradient_reach(lf, "highway").sentence


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, gwl.LSTM, gwl.RNN])
def test_what_is_read_at_the_last_step_is_the_flow_of_a_loss_that_reads_nothing_else(cls):
    """The top layer with "last" against a loss whose own derivative at the last step is that of the whole loss."""
    module = cls(SIZE, 5, bidirectional=True, **F64)
    x = torch.randn(T, B, SIZE, **F64)
    weights = torch.randn(T, B, 10, **F64)
    found = gradient_flow(module, x, lambda result: (weights * result[0]).sum(), reads="last")[""]
    forward = gradient_flow(module, x, lambda result: (weights * result[0])[-1, :, :5].sum())[""]
    reverse = gradient_flow(module, x, lambda result: (weights * result[0])[0, :, 5:].sum())[""]
    for key, expected in ((0, forward), ((0, "reverse"), reverse)):
        for name in ("dh", "dc", "highway"):
            if getattr(expected[key], name) is not None:
                assert torch.equal(getattr(found[key], name), getattr(expected[key], name))
    assert torch.equal(found[0].profile()[:1], gradient_flow(
        module, x, lambda result: (weights * result[0]).sum())[""][0].profile()[:1])  # fmt: skip


def test_lower_layers_and_rows_of_several_lengths_are_read_at_their_own_last_step():
    """Layer 0 by itself: what layer 1 reads of its last step, whatever it reads of the others."""
    module, lengths = gwl.GRU(SIZE, 5, 2, **F64), [7, 1, 4]
    x = torch.randn(T, B, SIZE, **F64)

    def loss(result):
        return result[0].pow(2).sum()

    found = gradient_flow(module, {"x": x, "lengths": lengths}, loss, reads="last")[""]
    whole = gradient_flow(module, {"x": x, "lengths": lengths}, loss)[""]
    for layer in (0, 1):
        for row, n in enumerate(lengths):
            torch.testing.assert_close(
                found[layer].dh[n - 1, row], whole[layer].dh[n - 1, row], atol=1e-14, rtol=0
            )
            assert not found[layer].dh[n:, row].any()
    lower, upper = gwl.GRU(SIZE, 5, **F64), gwl.GRU(5, 5, **F64)
    for layer, one in enumerate((lower, upper)):
        state = module.state_dict()
        one.load_state_dict({k.replace(f"l{layer}", "l0"): v for k, v in state.items() if f"l{layer}" in k})
    below = lower(x, None, lengths)[0].detach().requires_grad_()
    (direct,) = torch.autograd.grad(loss(upper(below, None, lengths)), below)
    alone = gradient_flow(
        lower,
        {"x": x, "lengths": lengths},
        lambda r: sum((direct[n - 1, b] * r[0][n - 1, b]).sum() for b, n in enumerate(lengths)),
    )
    torch.testing.assert_close(found[0].dh, alone[""][0].dh, atol=1e-13, rtol=0)


def test_the_table_of_a_flow():
    module = nn.LSTM(1, 1, bias=False, **F64)
    with torch.no_grad():
        module.weight_hh_l0.zero_()
        module.weight_ih_l0.zero_()  # i = f = o = 1/2, g = c = 0
    flow = gradient_flow(module, torch.zeros(9, 1, 1, **F64), lambda result: 4 * result[0][-1].sum())
    assert flow.to_markdown() == (
        "| layer              | gradient         |    lag 0 |    lag 1 |    lag 2 |    lag 5 |    lag 8 | 1 % after |\n"
        "| ------------------ | ---------------- | -------: | -------: | -------: | -------: | -------: | --------: |\n"
        "| the model, layer 0 | dL/dh            | 4.00e+00 | 0.00e+00 | 0.00e+00 | 0.00e+00 | 0.00e+00 |   1 steps |\n"
        "| the model, layer 0 | dL/dc            | 2.00e+00 | 1.00e+00 | 5.00e-01 | 6.25e-02 | 7.81e-03 |   7 steps |\n"
        "| the model, layer 0 | highway of dL/dc | 2.00e+00 | 1.00e+00 | 5.00e-01 | 6.25e-02 | 7.81e-03 |   7 steps |\n"
    )
    assert [line.split("|")[3].strip() for line in flow.to_markdown([3]).splitlines()] == [
        "lag 3", "-------:", "0.00e+00", "2.50e-01", "2.50e-01",
    ]  # fmt: skip
    assert flow.sentences == [
        "the model, layer 0: the gradient of c reaches 7 of 9 steps back: it falls to 1 % after 7 steps."
    ]
    with pytest.raises(UsageError, match="lag 9 is asked for; the longest row has the lags 0 to 8"):
        flow.to_markdown([0, 9])


class Mixed(nn.Module):
    """A torch.nn layer of two layers and directions, a stack of two kinds, and one module that is called twice."""

    def __init__(self):
        super().__init__()
        self.reader = nn.LSTM(SIZE, 4, 2, bidirectional=True)
        self.body = nn.ModuleDict({"stack": gwl.Stack([gwl.GRU(8, 4), gwl.RNN(4, 4)])})
        self.again = nn.GRU(4, 4, batch_first=True)

    def forward(self, x):
        h, _ = self.body["stack"](self.reader(x)[0])
        h, _ = self.again(h.transpose(0, 1))
        return self.again(h)[0]


def test_one_call_shows_every_layer_and_direction_of_a_model():
    flow = gradient_flow(Mixed(), torch.randn(T, B, SIZE), lambda y: y[:, -1].sum())
    lines = [line.split("|")[1:3] for line in flow.to_markdown().splitlines()[2:]]
    both, three = ["dL/dh", "highway of dL/dh"], ["dL/dh", "dL/dc", "highway of dL/dc"]
    assert [[cell.strip() for cell in line] for line in lines] == [
        *[["reader, layer 0", of] for of in three],
        *[["reader, layer 0 reverse", of] for of in three],
        *[["reader, layer 1", of] for of in three],
        *[["reader, layer 1 reverse", of] for of in three],
        *[["body.stack.layers.0, layer 0", of] for of in both],
        ["body.stack.layers.1, layer 0", "dL/dh"],
        *[["again, layer 0, call 0", of] for of in both],
        *[["again, layer 0, call 1", of] for of in both],
    ]
    assert len(flow.sentences) == len(flow.reaches) == len(flow.layers()) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vanished": 0}, "vanished is 0; it is a share above 0 and below 1"),
        ({"vanished": 1}, "vanished is 1; it is a share"),
        ({"vanished": math.nan}, "vanished is nan; it is a share"),
        ({"exploded": 1}, "exploded is 1; it is a number above 1"),
        ({"exploded": math.nan}, "exploded is nan; it is a number"),
        ({"of": "c"}, "a rnn_relu has no cell state c"),
    ],
)
def test_limits_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        gradient_reach(scaled(0.5), **options)


def test_another_word_for_what_is_read_is_refused():
    with pytest.raises(UsageError, match=r"^reads is 'first'; it can be 'all' or 'last'$"):
        scaled(0.5, reads="first")
