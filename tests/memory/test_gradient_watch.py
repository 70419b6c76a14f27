"""A watch over the gradients of a training: when it measures, what it says and logs, and that it changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import GradientWatch, gradient_flow, gradient_reach
from gatewise.memory.gradient_watch import figures

F64 = {"dtype": torch.float64}
X = torch.ones(20, 1, 1, **F64)


def moment(model, step):
    return SimpleNamespace(tick=SimpleNamespace(step=step), model=model)


def scaled(u):
    """A ReLU network of one unit, whose gradient grows by u a step back."""
    rnn = nn.RNN(1, 1, bias=False, nonlinearity="relu", **F64)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
        rnn.weight_hh_l0.fill_(u)
    return rnn


def first_output(result):
    return result[0].sum()


def test_it_measures_at_first_and_at_every_nth_step():
    watch = GradientWatch(X, first_output, 10, say=None)
    model = scaled(0.5)
    for step in (7, 8, 9, 10, 11, 19, 20, 25, 30):
        assert watch(moment(model, step)) is None
    assert [step for step, _ in watch.history] == [7, 10, 20, 30]
    expected = gradient_reach(gradient_flow(model, X, first_output, reads="last")[""][0])
    assert all(reaches == [expected] for _, reaches in watch.history)


def test_it_speaks_at_first_and_when_something_changes():
    said, logged = [], []
    watch = GradientWatch(
        X, first_output, 5, say=said.append, log=lambda step, found: logged.append((step, found))
    )
    model = scaled(0.5)
    for step, u in (
        (5, 0.5),
        (10, 0.5),
        (15, 0.6),
        (20, 0.75),
        (25, 0.75),
        (30, 0.95),
        (1200, 2.0),
        (1205, 0.1),
    ):
        with torch.no_grad():
            model.weight_hh_l0.fill_(u)
        watch(moment(model, step))
    where = "the model, layer 0: the gradient of h"
    assert said == [
        "gradients are measured every 5 steps: one vanishes where less than 1 % of it is left, and explodes where it "
        "grows to more than 100 times its size",
        f"step 5: {where} reaches 7 of 20 steps back: it falls to 1 % after 7 steps.",
        # 0.6 ** 10 < 0.01: 10 steps, less than twice as many; 0.75 ** 17 < 0.01
        f"step 20: {where} reaches 17 of 20 steps back: it falls to 1 % after 17 steps.",
        f"step 30: {where} reaches all 20 steps back: 38 % of it is left at the first.",
        f"step 1,200: {where} explodes: it grows to 5.24e+05 times its size on its way back.",
        f"step 1,205: {where} reaches 3 of 20 steps back: it falls to 1 % after 3 steps.",
    ]  # fmt: skip
    assert [step for step, _ in logged] == [5, 10, 15, 20, 25, 30, 1200, 1205]
    assert logged[2][1].keys() == {"0/reach", "0/steps", "0/left", "0/growth"}
    assert logged[2][1]["0/reach"] == 10 and logged[2][1]["0/left"] == pytest.approx(0.6**19)


def test_a_gradient_that_is_not_finite_leaves_out_the_figures_that_are_not():
    said = []
    watch = GradientWatch(X, first_output, say=said.append)
    assert figures(watch.measure(scaled(1e200), 1)) == {"0/reach": 2, "0/steps": 20}
    assert said[1:] == ["step 1: the model, layer 0: the gradient of h is not finite from 2 steps back on."]


class Deep(nn.Module):
    """Dropout, batch normalisation, a frozen part in eval mode, and a layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.rnn = gwl.LSTM(3, 4, 2, bidirectional=True, dropout=0.5)
        self.norm, self.frozen = nn.BatchNorm1d(8), nn.Dropout(0.5).eval()
        self.again, self.out = nn.GRU(8, 4), nn.Linear(4, 1)

    def forward(self, x):
        h = self.norm(self.rnn(x)[0].transpose(1, 2)).transpose(1, 2) if x.dim() == 3 else x
        h, state = self.again(nn.functional.dropout(h, 0.3, self.training))
        return self.out(self.again(torch.rand_like(h).repeat(1, 1, 2), state)[0][-1])


def trained(watch):
    torch.manual_seed(3)
    model, x = Deep(), torch.randn(8, 8, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    model.frozen.eval()
    for step in range(1, 7):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
        if watch is not None:
            before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
            watch(moment(model, step))
            assert all(
                g is None or torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True)
            )
    return model


def test_a_training_is_the_same_with_it():
    """Weights, buffers, modes and random numbers, bit for bit, though the model draws numbers in eval mode as well."""
    watch = GradientWatch(torch.randn(8, 8, 3), lambda y: y.pow(2).mean(), 2, say=None)
    watched, random = trained(watch), torch.rand(4)
    plain, expected = trained(None), torch.rand(4)
    assert [step for step, _ in watch.history] == [1, 2, 4, 6]
    assert all(torch.equal(watched.state_dict()[name], value) for name, value in plain.state_dict().items())
    assert [m.training for m in watched.modules()] == [m.training for m in plain.modules()]
    assert torch.equal(random, expected)
    assert list(figures(watch.history[0][1]))[::4] == [
        "rnn.0/reach", "rnn.0.reverse/reach", "rnn.1/reach", "rnn.1.reverse/reach", "again.0/reach",
        "again.0.call1/reach",
    ]  # fmt: skip


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_a_distance_that_is_none_is_refused(every):
    with pytest.raises(UsageError, match=f"^every is {every}; it is a whole number of at least 1 step$"):
        GradientWatch(X, first_output, every)


def test_limits_out_of_range_are_refused_before_the_training():
    with pytest.raises(UsageError, match=r"^vanished is 2; it is a share above 0 and below 1$"):
        GradientWatch(X, first_output, vanished=2)
    with pytest.raises(UsageError, match=r"^exploded is 0\.5; it is a number above 1$"):
        GradientWatch(X, first_output, exploded=0.5)
    with pytest.raises(UsageError, match=r"^reads is 'none'; it can be 'all' or 'last'$"):
        GradientWatch(X, first_output, reads="none")
