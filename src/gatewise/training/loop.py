"""The one training loop. It knows steps, epochs and weights, and nothing of a task.

A task hands in a model, the batches of an epoch, a loss of a batch, and an evaluation of a model.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import GatewiseError
from gatewise.training.options import LoopOptions, Outcome
from gatewise.training.progress import Reporter, Silent, Tick
from gatewise.training.schedule import Average, schedule

Batches = Callable[[int], Sequence[Any]]
Loss = Callable[[nn.Module, Any], Tensor]
Evaluate = Callable[[nn.Module], Mapping[str, float]]


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    options: LoopOptions,
    *,
    evaluate: Evaluate | None = None,
    report: Reporter | None = None,
    log: Path | None = None,
) -> Outcome:
    """Train `model` in place and leave its best weights in it.

    Ctrl-C ends the training as if it had been planned so, with the best weights so far.

    Args:
        batches: the batches of epoch 0, 1, …; the same epoch must give the same batches.
        loss: a scalar to be minimised, of a model and one batch.
        evaluate: figures of a model on validation data, among them "loss" and `options.metric`; without it
            the last weights are kept.
        log: a file to which each epoch's row is appended as a JSON line.

    Raises:
        GatewiseError: the loss is not finite.
    """
    run = Fit(model, batches, loss, options, evaluate, report or Silent(), log)
    try:
        run.train()
    except KeyboardInterrupt:
        if not run.outcome.steps:
            raise
        run.outcome.stopped = "interrupted"
    finally:
        run.report.close()
    run.restore_best()
    return run.outcome


class Fit:
    """The state of one training; `fit` carries it through."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        loss: Loss,
        options: LoopOptions,
        evaluate: Evaluate | None,
        report: Reporter,
        log: Path | None,
    ):
        self.model, self.batches, self.loss, self.options = model, batches, loss, options
        self.evaluate, self.report, self.log = evaluate, report, log
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, betas=options.betas, weight_decay=options.weight_decay, fused=True
        )
        self.steps = options.epochs * len(batches(0))
        every = 4 if self.steps >= 1000 else 1
        self.average = Average(model, options.ema, every) if options.ema else None
        self.outcome = Outcome()
        self.best: tuple[tuple[float, float], dict[str, Tensor]] | None = None
        self.started, self.validating = time.monotonic(), 0.0

    def train(self) -> None:
        for epoch in range(1, self.options.epochs + 1):
            mean_loss = self.one_epoch(epoch)
            row = {"epoch": epoch, "step": self.outcome.steps, "loss": mean_loss} | self.validate(epoch)
            self.write(row | {"learning_rate": self.rate(self.outcome.steps - 1), "seconds": self.seconds()})
            if self.outcome.stopped == "minutes":
                return
            if self.evaluate and 0 < self.options.patience <= epoch - self.outcome.best_epoch:
                self.outcome.stopped = "patience"
                return

    def one_epoch(self, epoch: int) -> float:
        """Train through the epoch's batches, or until the time is over; the mean loss."""
        self.model.train()
        total, count = 0.0, 0
        for batch in self.batches(epoch - 1):
            total += self.one_step(batch)
            count += 1
            done, seconds = self.outcome.steps, self.seconds()
            self.report.step(Tick(done, self.steps, epoch, self.options.epochs, total / count, seconds))
            after_next = seconds * (1 + 1 / done) + self.validating
            if self.options.minutes and after_next > 60 * self.options.minutes:
                self.outcome.stopped = "minutes"
                break
        return total / count

    def one_step(self, batch: Any) -> float:
        rate = self.rate(self.outcome.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        value = self.loss(self.model, batch)
        number = value.item()
        self.check(number, "loss", self.outcome.steps + 1)
        self.optimizer.zero_grad()
        value.backward()
        if self.options.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        self.optimizer.step()
        self.outcome.steps += 1
        if self.average:
            self.average.update(self.model, self.outcome.steps)
        return number

    def check(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            rate = self.rate(min(step, self.steps) - 1)
            raise GatewiseError(
                f"the {name} is {value} at step {step}, where the learning rate is {rate:.3g}"
            )

    def rate(self, step: int) -> float:
        return self.options.learning_rate * schedule(step, self.steps, self.options.warmup)

    def seconds(self) -> float:
        self.outcome.seconds = time.monotonic() - self.started
        return self.outcome.seconds

    def validate(self, epoch: int) -> dict[str, float]:
        """Evaluate the weights that would be kept, and keep them where they are the best so far."""
        if self.evaluate is None:
            return {}
        begun = time.monotonic()
        candidate = self.average.model if self.average else self.model
        candidate.train(False)
        with torch.no_grad():
            found = self.evaluate(candidate)
        self.check(found["loss"], "validation loss", self.outcome.steps)
        score = (found[self.options.metric], -found["loss"])
        if self.best is None or score > self.best[0]:
            self.best = (score, {name: value.clone() for name, value in candidate.state_dict().items()})
            self.outcome.best_epoch = epoch
        self.validating = time.monotonic() - begun
        return {f"validation_{name}": value for name, value in found.items()}

    def write(self, row: dict[str, float]) -> None:
        self.outcome.history.append(row)
        if self.log:
            with self.log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
        self.report.epoch(row)

    def restore_best(self) -> None:
        """The best validated weights; without any, the averaged or last ones."""
        if self.best is not None:
            self.model.load_state_dict(self.best[1])
        elif self.average:
            self.model.load_state_dict(self.average.model.state_dict())
        self.model.train(False)
