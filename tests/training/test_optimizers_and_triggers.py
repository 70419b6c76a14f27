"""Optimizers by name, decay by epochs, a batch's share of the rate, clipping, and the trigger of NT-ASGD."""

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gatewise.training.average import Triggered
from gatewise.training.loop import fit
from gatewise.training.optimizer import clip_gradients, make_optimizer
from gatewise.training.options import LoopOptions
from gatewise.training.schedule import schedule
from gatewise.training.sums import Sum


def stepped(optimizer, model, steps=5):
    g = torch.Generator().manual_seed(3)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=g)
        optimizer.step()
    return model


def test_plain_sgd_is_its_definition():
    model = nn.Linear(4, 3)
    wanted = {name: value.detach().clone() for name, value in model.named_parameters()}
    options = LoopOptions(epochs=1, learning_rate=0.5, weight_decay=0.1, optimizer="sgd")
    stepped(make_optimizer(list(model.parameters()), options), model)
    g = torch.Generator().manual_seed(3)
    for _ in range(5):
        for value in wanted.values():
            value -= 0.5 * (torch.randn(value.shape, generator=g) + 0.1 * value)
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), wanted[name])


def test_adam_adds_the_decay_to_the_gradient_and_adamw_does_not():
    torch.manual_seed(0)
    base = nn.Linear(4, 3)
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        ours, theirs = copy.deepcopy(base), copy.deepcopy(base)
        options = LoopOptions(epochs=1, learning_rate=0.01, weight_decay=0.2, optimizer=name)
        stepped(make_optimizer(list(ours.parameters()), options), ours)
        stepped(
            kind(theirs.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.2, foreach=False), theirs
        )
        torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bound", [0.01, 1.0, 1e4])
def test_clipping_gives_the_bits_of_torch(bound):
    ours, theirs = nn.Linear(5, 6), nn.Linear(5, 6)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.grad = torch.randn(mine.shape)
        other.grad = mine.grad.clone()
    clip_gradients(list(ours.parameters()), bound)
    nn.utils.clip_grad_norm_(theirs.parameters(), bound)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


def test_the_rate_decays_after_so_many_epochs():
    """Six epochs of two steps; full rate in the first three."""
    found = [schedule(step, 12, 0, "decay", epochs=6, decay=0.5, decay_from=3) for step in range(12)]
    assert found == [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


@dataclass
class Part:
    """A batch of one number that asks for a share of the learning rate."""

    value: float
    rate: float


def test_a_batch_has_its_step_done_with_its_share_of_the_rate():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    parts = [Part(1.0, 0.5), Part(1.0, 2.0), Part(1.0, 1.0), Part(1.0, 0.0)]
    seen = []
    fit(
        model,
        lambda epoch: parts,
        lambda m, part: Sum(-m.weight.sum() * part.value, 1),
        LoopOptions(
            epochs=1,
            learning_rate=0.1,
            warmup=0,
            schedule="constant",
            optimizer="sgd",
            average="none",
            accumulate=1,
        ),
        callbacks=[lambda moment: seen.append(round(moment.model.weight.item(), 6))],
    )
    assert seen == [0.05, 0.25, 0.35, 0.35]  # gradient -1: up by 0.1 times the share


def rows(*losses):
    return [{"step": 10 * k, "validation_loss": loss} for k, loss in enumerate(losses, 1)]


def test_the_trigger_of_a_written_out_example():
    """n = 2: the loss of validation k is compared with the best of validations 1 … k - 3."""
    average = Triggered(nn.Linear(1, 1), patience=2)
    average.look(rows(5.0, 4.0, 4.5, 4.4))  # 4.4 against 5.0
    assert average.start == math.inf
    average.look(rows(5.0, 4.0, 4.5, 4.4, 3.9))  # 3.9 against 4.0
    assert average.start == math.inf
    average.look(rows(5.0, 4.0, 4.5, 4.4, 4.1, 3.0, 9.0))  # 4.1 against 4.0, at step 50
    assert average.start == 50
    average.look([{"step": 1, "loss": 2.0}])  # rows without a validation


def test_the_mean_begins_with_the_step_after_the_trigger():
    model = nn.Linear(1, 1, bias=False)
    average = Triggered(model, patience=0)
    average.look(rows(1.0, 2.0))  # triggers at step 20
    for step in (19, 20, 21, 22, 23):
        nn.init.constant_(model.weight, float(step))
        average.update(model, step)
        assert average.ready == (step > 20)
    assert average.model.weight.item() == pytest.approx(22)
