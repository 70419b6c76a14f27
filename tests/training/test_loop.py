"""The training loop: schedule, average, best weights, stops, interruption, determinism."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from gatewise.errors import GatewiseError, UsageError
from gatewise.training.average import Moving
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.progress import Silent
from gatewise.training.schedule import schedule
from gatewise.training.sums import Sum


class One(nn.Module):
    """A single weight, pulled to 3 by the loss."""

    def __init__(self, start=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def pull(model, batch):
    return Sum((model.w - 3) ** 2 * batch, 1)


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
    average = Moving(model, 0.9)
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
    average = Moving(model, 0.5, every=4)
    with torch.no_grad():
        model.w.fill_(2.0)
    for k in range(1, 8):
        average.update(model, k)
    decay = min(0.5, 5 / 14) ** 4  # acted at step 4 alone
    assert average.model.w.item() == pytest.approx(decay * 1 + (1 - decay) * 2, rel=1e-12)


@pytest.mark.parametrize(("average", "taken"), [("asgd", range(7, 13)), ("swa", (8, 12))])
def test_an_equal_average_is_the_mean_of_the_weights_that_it_took(average, taken):
    """12 steps in 3 epochs; the first half goes by without it."""
    seen = {}

    def remember(moment):
        seen[moment.tick.step] = moment.model.w.item()

    model = One()
    chosen = options(average=average, average_from=0.5)
    fit(model, lambda epoch: [1.0] * 4, pull, chosen, callbacks=[remember])
    assert list(seen) == list(range(1, 13))
    assert model.w.item() == pytest.approx(sum(seen[k] for k in taken) / len(taken), rel=1e-12)


def test_before_an_equal_average_begins_the_weights_themselves_are_validated():
    seen, averaged = [], []

    def evaluate(model):
        averaged.append(model.w.item())
        return {"accuracy": 1.0, "loss": -len(averaged)}

    def remember(moment):
        seen.append(moment.model.w.item())

    chosen = options(average="swa", average_from=0.5, epochs=4)
    fit(One(), lambda epoch: [1.0] * 2, pull, chosen, evaluate=evaluate, callbacks=[remember])
    assert averaged == pytest.approx([seen[1], seen[3], seen[5], (seen[5] + seen[7]) / 2], rel=1e-12)


@pytest.mark.parametrize(("kind", "factors"), [("cosine", (1, 0.5, 0)), ("constant", (1, 1, 1))])
def test_the_other_schedules_at_begin_half_and_end(kind, factors):
    assert [schedule(k, 1000, 0, kind) for k in (0, 500, 1000)] == pytest.approx(factors, abs=1e-12)
    assert schedule(0, 100, 10, kind) == pytest.approx(0.1)


def test_micro_batches_of_several_sizes_are_one_batch():
    """Five batches of 1 to 5 examples, two a step: the mean is over the examples, not over the batches."""
    torch.manual_seed(0)
    parts = [
        (torch.randn(n, 3, dtype=torch.float64), torch.randn(n, dtype=torch.float64)) for n in range(1, 6)
    ]
    together = [tuple(map(torch.cat, zip(*parts[k : k + 2], strict=True))) for k in (0, 2, 4)]

    def squares(model, batch):
        return Sum((model(batch[0])[:, 0] - batch[1]).square().sum(), len(batch[1]))

    def trained(batches, accumulate):
        torch.manual_seed(1)
        model = nn.Linear(3, 1, dtype=torch.float64)
        chosen = options(clip=0.5, accumulate=accumulate)
        return fit(model, lambda epoch: batches, squares, chosen), model.weight

    one, reference = trained(together, 1)
    two, weight = trained(parts, 2)
    assert (one.steps, two.steps) == (9, 9)
    assert torch.allclose(weight, reference, rtol=1e-12, atol=0)
    assert [row["loss"] for row in two.history] == pytest.approx(
        [row["loss"] for row in one.history], rel=1e-12
    )


def test_the_loss_of_a_row_is_the_mean_over_examples():
    batches = [(2.0, 1), (5.0, 9)]  # a mean of means would be 3.5
    outcome = fit(
        One(), lambda epoch: batches, lambda m, b: Sum(m.w * 0 + b[0] * b[1], b[1]), options(epochs=1)
    )
    assert outcome.history[0]["loss"] == pytest.approx(4.7, rel=1e-12)


def test_validation_by_steps_counts_patience_in_validations_and_ends_with_one():
    found = iter([0.1, 0.6, 0.5, 0.7])
    evaluate = lambda model: {"accuracy": next(found), "loss": 1.0}  # noqa: E731
    outcome = fit(
        One(), lambda epoch: [1.0] * 5, pull, options(epochs=2, validate_every=3), evaluate=evaluate
    )
    rows = [(row["epoch"], row["step"], row["validation_accuracy"]) for row in outcome.history]
    assert rows == [(1, 3, 0.1), (2, 6, 0.6), (2, 9, 0.5), (2, 10, 0.7)]
    found = iter([0.6, 0.5, 0.4, 0.9])
    chosen = options(epochs=9, validate_every=3, patience=2)
    outcome = fit(One(), lambda epoch: [1.0] * 5, pull, chosen, evaluate=evaluate)
    assert (outcome.stopped, outcome.steps, outcome.epochs, outcome.best_epoch) == ("patience", 9, 1, 1)


def test_a_callback_sees_every_step_and_row_and_can_end_the_training():
    seen = []

    def stop_at_four(moment):
        seen.append((moment.tick.step, moment.row and moment.row["epoch"]))
        return moment.tick.step == 4

    outcome = fit(One(), lambda epoch: [1.0] * 3, pull, options(), callbacks=[stop_at_four])
    assert (outcome.stopped, outcome.steps) == ("callback", 4)
    assert seen == [(1, None), (2, None), (3, 1), (4, None)]


def test_an_epoch_without_batches_is_refused():
    with pytest.raises(UsageError, match="an epoch has no batches"):
        fit(One(), lambda epoch: [], pull, options())


def test_steps_are_those_of_adamw_with_this_schedule():
    model, mine = One(), One()
    batches = [1.0, 2.0, 0.5, 1.5]
    fit(model, lambda epoch: batches, pull, options(epochs=2, weight_decay=0.1, clip=1.0))
    reference = torch.optim.AdamW(mine.parameters(), lr=0.1, betas=(0.9, 0.98), weight_decay=0.1)
    for k, batch in enumerate(batches * 2):
        reference.param_groups[0]["lr"] = 0.1 * (1 - k / 8)
        reference.zero_grad()
        pull(mine, batch).total.backward()
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
    outcome = fit(
        One(),
        lambda epoch: [1.0, 3.0],
        pull,
        options(epochs=2),
        evaluate=lambda model: {"accuracy": 0.5, "loss": 1.0},
        folder=tmp_path,
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == outcome.history
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 2), (2, 4)]
    assert rows[0]["validation_accuracy"] == 0.5
    assert rows[1]["learning_rate"] == pytest.approx(0.1 * (1 - 3 / 4))
    # The first step sees w = 0: losses 9 and then 3·(w-3)² after one AdamW step of 0.1.
    assert rows[0]["loss"] == pytest.approx((9 + 3 * (0.1 - 3) ** 2) / 2, rel=1e-6)
    steps = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [(row["step"], row["epoch"]) for row in steps] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert [row["learning_rate"] for row in steps] == pytest.approx([0.1 * (1 - k / 4) for k in range(4)])
    assert steps[0]["loss"] == 9.0
    assert rows[0]["loss"] == pytest.approx((steps[0]["loss"] + steps[1]["loss"]) / 2, rel=1e-12)


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
        fit(
            model,
            lambda epoch: [x[:6], x[6:]],
            lambda m, b: Sum(m(b).square().sum(), len(b)),
            options(ema=0.9),
        )
        return copy.deepcopy(model.state_dict())

    first, second = trained(), trained()
    assert all(torch.equal(first[name], second[name]) for name in first)
