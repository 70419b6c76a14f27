"""The training loop: schedule, average, best weights, stops, interruption, determinism."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from gatewise.errors import GatewiseError
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.progress import Silent
from gatewise.training.schedule import Average, schedule


class One(nn.Module):
    """A single weight, pulled to 3 by the loss."""

    def __init__(self, start=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def pull(model, batch):
    return (model.w - 3) ** 2 * batch


def options(**changes):
    return LoopOptions(**({"epochs": 3, "learning_rate": 0.1, "warmup": 0} | changes))


def test_the_schedule_warms_up_over_a_fifth_at_most_and_decays_to_zero():
    assert [schedule(k, 10, 0) for k in range(10)] == pytest.approx([1 - k / 10 for k in range(10)])
    assert [schedule(k, 100, 10) for k in (0, 4, 9, 10, 99)] == pytest.approx([0.1, 0.48, 0.91, 0.9, 0.01])
    # 200 steps of warm-up would be the whole of a short training: 20 of 100 are used.
    assert schedule(0, 100, 200) == pytest.approx(1 / 20)
    assert schedule(19, 100, 200) == pytest.approx(0.81)
    assert schedule(0, 1, 200) == 1.0


def test_the_average_is_its_formula():
    model = One()
    average = Average(model, 0.9)
    expected = 0.0
    for k in range(1, 41):
        with torch.no_grad():
            model.w.fill_(float(k))
        average.update(model, k)
        decay = min(0.9, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * k
    assert average.model.w.item() == pytest.approx(expected, rel=1e-12)


def test_every_fourth_step_takes_the_decay_of_four():
    model = One(1.0)
    average = Average(model, 0.5, every=4)
    with torch.no_grad():
        model.w.fill_(2.0)
    for k in range(1, 8):
        average.update(model, k)
    decay = min(0.5, 5 / 14) ** 4  # acted at step 4 alone
    assert average.model.w.item() == pytest.approx(decay * 1 + (1 - decay) * 2, rel=1e-12)


def test_steps_are_those_of_adamw_with_this_schedule():
    model, mine = One(), One()
    batches = [1.0, 2.0, 0.5, 1.5]
    fit(model, lambda epoch: batches, pull, options(epochs=2, weight_decay=0.1, clip=1.0))
    reference = torch.optim.AdamW(mine.parameters(), lr=0.1, betas=(0.9, 0.98), weight_decay=0.1)
    for k, batch in enumerate(batches * 2):
        reference.param_groups[0]["lr"] = 0.1 * (1 - k / 8)
        reference.zero_grad()
        pull(mine, batch).backward()
        mine.w.grad.mul_(min(1.0, 1 / (abs(mine.w.grad.item()) + 1e-6)))  # torch adds 1e-6 to the norm
        reference.step()
    assert model.w.item() == pytest.approx(mine.w.item(), rel=1e-9)


def test_the_best_weights_are_kept_and_ties_go_to_the_lower_loss():
    seen = []
    found = iter([(0.5, 9.0), (0.8, 2.0), (0.8, 1.0), (0.8, 1.5), (0.1, 0.0)])

    def evaluate(model):
        seen.append(model.w.item())
        accuracy, loss = next(found)
        return {"accuracy": accuracy, "loss": loss}

    model = One()
    outcome = fit(model, lambda epoch: [1.0], pull, options(epochs=5), evaluate=evaluate)
    assert (outcome.best_epoch, outcome.stopped, len(seen)) == (3, "finished", 5)
    assert model.w.item() == seen[2] != seen[4]


def test_patience_counts_epochs_since_the_best():
    found = iter([0.1, 0.6, 0.5, 0.6, 0.9])  # the second 0.6 has no lower loss
    outcome = fit(
        One(),
        lambda epoch: [1.0],
        pull,
        options(epochs=5, patience=2),
        evaluate=lambda model: {"accuracy": next(found), "loss": 1.0},
    )
    assert (outcome.stopped, len(outcome.history), outcome.best_epoch) == ("patience", 4, 2)


def test_with_an_average_it_is_what_is_evaluated_and_kept():
    seen = []

    def evaluate(model):
        seen.append(model.w.item())
        return {"accuracy": 1.0, "loss": -len(seen)}

    plain, averaged = One(), One()
    fit(plain, lambda epoch: [1.0] * 5, pull, options())
    fit(averaged, lambda epoch: [1.0] * 5, pull, options(ema=0.9), evaluate=evaluate)
    assert averaged.w.item() == seen[-1]
    assert averaged.w.item() < plain.w.item()  # the average lags behind
    last = One()
    fit(last, lambda epoch: [1.0] * 5, pull, options(ema=0.9))
    assert last.w.item() == seen[-1]  # without validation too


def test_rows_are_reported_and_logged(tmp_path):
    log = tmp_path / "log.jsonl"
    outcome = fit(
        One(),
        lambda epoch: [1.0, 3.0],
        pull,
        options(epochs=2),
        evaluate=lambda model: {"accuracy": 0.5, "loss": 1.0},
        log=log,
    )
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert rows == outcome.history
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 2), (2, 4)]
    assert rows[0]["validation_accuracy"] == 0.5
    assert rows[1]["learning_rate"] == pytest.approx(0.1 * (1 - 3 / 4))
    # The first step sees w = 0: losses 9 and then 3·(w-3)² after one AdamW step of 0.1.
    assert rows[0]["loss"] == pytest.approx((9 + 3 * (0.1 - 3) ** 2) / 2, rel=1e-6)


class Stopper(Silent):
    """Presses Ctrl-C after some steps."""

    def __init__(self, after):
        self.after, self.closed = after, False

    def step(self, tick):
        if tick.step == self.after:
            raise KeyboardInterrupt

    def close(self):
        self.closed = True


def test_an_interruption_keeps_the_best_weights_so_far():
    seen = []

    def evaluate(model):
        seen.append(model.w.item())
        return {"accuracy": 1.0, "loss": 1.0}

    model, stopper = One(), Stopper(5)
    outcome = fit(model, lambda epoch: [1.0] * 3, pull, options(), evaluate=evaluate, report=stopper)
    assert (outcome.stopped, outcome.steps, outcome.best_epoch) == ("interrupted", 5, 1)
    assert model.w.item() == seen[0]
    assert stopper.closed and not model.training


def test_an_interruption_in_the_first_epoch_keeps_what_was_reached_and_one_before_any_step_passes_on():
    model = One()
    assert fit(model, lambda epoch: [1.0] * 3, pull, options(), report=Stopper(2)).steps == 2
    assert model.w.item() > 0.1

    def stop(model, batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(One(), lambda epoch: [1.0], stop, options())


def test_the_time_budget_stops_before_it_is_over(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("gatewise.training.loop.time.monotonic", lambda: now[0])

    def slow(model, batch):
        now[0] += 7.0
        return pull(model, batch)

    def evaluate(model):
        now[0] += 10.0
        return {"accuracy": 1.0, "loss": 1.0}

    outcome = fit(One(), lambda epoch: [1.0] * 4, slow, options(minutes=1.0, epochs=9), evaluate=evaluate)
    # 28 + 10 s for the first epoch; one step (45 s) fits, with another and an evaluation it would be over a minute.
    assert (outcome.stopped, outcome.steps) == ("minutes", 5)
    assert outcome.history[-1]["seconds"] <= 60
    assert outcome.history[-1]["learning_rate"] == pytest.approx(0.1 * (1 - 4 / 36))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_one_error_with_step_and_rate(bad):
    stopper = Stopper(99)
    with pytest.raises(
        GatewiseError, match=r"the loss is (nan|inf) at step 3, where the learning rate is 0.06"
    ):
        fit(One(), lambda epoch: [1.0, 1.0, bad, 1.0, 1.0], pull, options(epochs=1), report=stopper)
    assert stopper.closed
    with pytest.raises(GatewiseError, match="the validation loss is nan at step 1"):
        fit(
            One(),
            lambda epoch: [1.0],
            pull,
            options(epochs=1),
            evaluate=lambda model: {"accuracy": 0.0, "loss": math.nan},
        )


def test_the_same_seed_gives_the_same_weights():
    def trained():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        x = torch.randn(12, 4)
        fit(model, lambda epoch: [x[:6], x[6:]], lambda m, b: m(b).square().mean(), options(ema=0.9))
        return copy.deepcopy(model.state_dict())

    first, second = trained(), trained()
    assert all(torch.equal(first[name], second[name]) for name in first)
