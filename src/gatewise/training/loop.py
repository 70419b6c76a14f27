"""The one training loop. It knows steps, epochs and weights, and nothing of a task.

A task hands in a model, the batches of an epoch, a loss of a batch, and an evaluation of a model. With a folder it
keeps checkpoints there, from which a killed training goes on bit for bit (docs/training.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.data.loader import Loader, Prepare
from gatewise.errors import GatewiseError, UsageError
from gatewise.training.average import make_average
from gatewise.training.callbacks import Callback, Moment
from gatewise.training.carried import Carried
from gatewise.training.distributed import Processes
from gatewise.training.optimizer import clip_gradients, make_optimizer
from gatewise.training.options import LoopOptions, Outcome
from gatewise.training.progress import Reporter, Silent, Tick
from gatewise.training.resume import Keeper
from gatewise.training.schedule import schedule
from gatewise.training.state import State
from gatewise.training.sums import Sum

Batches = Callable[[int], Sequence[Any]]
Loss = Callable[[nn.Module, Any], Sum]
Evaluate = Callable[[nn.Module], Mapping[str, float]]


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    options: LoopOptions,
    *,
    prepare: Prepare | None = None,
    evaluate: Evaluate | None = None,
    report: Reporter | None = None,
    callbacks: Sequence[Callback] = (),
    processes: Processes | None = None,
    folder: Path | None = None,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
    config: str = "",
) -> Outcome:
    """Train `model` in place and leave its best weights in it.

    Ctrl-C ends the training as if it had been planned so, with the best weights so far; that of several processes just
    ends, for they would have to agree on the step.

    Args:
        batches: the batches of epoch 0, 1, …, as many in each; the same epoch must give the same batches.
        prepare: makes of a batch what the loss takes, in `options.workers` processes; see `Loader`.
        loss: of a model and one batch, as a sum and a count. What is minimised is the mean over all batches of a step.
            A `Carried` loss hands a state on from batch to batch. A batch with an attribute `rate` has its step done
            with that share of the learning rate. Random numbers must come from torch's generators.
        evaluate: figures of a model on validation data, among them "loss" and `options.metric`; without it
            the last weights are kept.
        callbacks: called after each step, see `Callback`.
        processes: those that train the same model together, each with the same arguments; each takes its part of every
            batch (`shard`), `prepare` and `loss` see that part alone, and `evaluate` must give all the same figures.
            Every batch must then be a sequence, or know how to `shard` itself.
        folder: an existing folder for `metrics.jsonl` (a row a validation), `steps.jsonl` (a row a step) and
            `checkpoints/`.
        resume: go on from the newest checkpoint in `folder`; where there is none, begin.
        about: what else must be the same when the training is resumed, by name: options, hashes of data. JSON values.
        config: TOML text that is kept in the checkpoints.

    Raises:
        GatewiseError: the loss is not finite.
        UsageError: an epoch without batches, or `about` or options that differ from those of the checkpoint.
        RunError: a checkpoint that cannot be read, or cannot be written.
    """
    run = Fit(
        model,
        batches,
        loss,
        options,
        prepare=prepare,
        evaluate=evaluate,
        report=report,
        callbacks=callbacks,
        processes=processes,
    )
    try:
        if folder is not None:
            run.keep_in(folder, resume=resume, about=about or {}, config=config)
        run.train()
    except KeyboardInterrupt:
        if not run.state.step or run.processes.world > 1:
            raise
        run.stopped = "interrupted"
    finally:
        run.close()
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
        *,
        prepare: Prepare | None = None,
        evaluate: Evaluate | None = None,
        report: Reporter | None = None,
        callbacks: Sequence[Callback] = (),
        processes: Processes | None = None,
    ):
        self.model, self.batches, self.loss, self.options = model, batches, loss, options
        self.processes = processes or Processes()
        self.network = self.processes.wrap(model)  # what the loss calls
        self.evaluate, self.callbacks = evaluate, callbacks
        self.report = report if report and self.processes.is_first else Silent()
        self.loader = Loader(_of_part(prepare, self.processes), options.workers if prepare else 0)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.parameters, options)
        self.steps = options.epochs * -(-len(batches(0)) // options.accumulate)
        if not self.steps:
            raise UsageError("an epoch has no batches; there is nothing to train on")
        self.average = make_average(model, options, self.steps)
        self.best: dict[str, Tensor] = {}
        self.state, self.stopped = State(), ""
        self.keeper: Keeper | None = None
        self.started, self.validating = time.monotonic(), 0.0

    @property
    def outcome(self) -> Outcome:
        state = self.state
        return Outcome(
            state.history,
            state.best_epoch,
            state.step,
            state.epoch,
            state.seconds,
            self.stopped or "finished",
        )

    def keep_in(self, folder: Path, *, resume: bool, about: Mapping[str, Any], config: str) -> None:
        """Keep logs and checkpoints in a folder, and go on from the newest one where that is asked for."""
        self.keeper = Keeper(self, folder, about, config)
        if resume:
            self.keeper.restore()
            self.started = time.monotonic() - self.state.seconds
        self.keeper.open_logs()

    def train(self) -> None:
        if not self.state.step:
            if self.processes.rank:  # masks of their own
                torch.manual_seed(torch.initial_seed() + self.processes.rank)
            if self.keeper:
                self.keeper.save()
        while self.state.epoch < self.options.epochs and not self.stopped:
            self.stopped = self.why_stop()  # that of a resumed training; after a step it is asked again
            self.one_epoch()

    def one_epoch(self) -> None:
        """Train through what is left of the epoch, or until there is a reason to stop."""
        state, epoch = self.state, self.state.epoch + 1
        batches = self.batches(state.epoch)
        self.model.train()
        if state.batch == 0 and isinstance(self.loss, Carried):
            self.loss.reset()
        rest = (self.processes.shard(batches[k]) for k in range(state.batch, len(batches)))
        prepared = self.loader(rest)
        while state.epoch < epoch and not self.stopped:
            parts = list(islice(prepared, self.options.accumulate))
            loss = self.one_step(parts)
            state.batch += len(parts)
            if state.batch == len(batches):
                state.epoch, state.batch = epoch, 0
            self.after_step(epoch, loss)

    def after_step(self, epoch: int, loss: float) -> None:
        """Say how far the training is; validate, stop and save where it is time for that."""
        state, options = self.state, self.options
        ended, finished = state.epoch == epoch, state.epoch == options.epochs
        rate = self.rate(state.step - 1)
        mean = state.total / state.count if state.count else 0.0
        tick = Tick(state.step, self.steps, epoch, options.epochs, mean, self.seconds(), loss, rate)
        if self.keeper:
            self.keeper.log_step({"step": state.step, "epoch": epoch, "loss": loss, "learning_rate": rate})
        self.report.step(tick)
        late = self.is_late() and not finished
        row = None
        if late or finished or _is_due(options.validate_every, state.step, ended):
            row = self.row(epoch)
        moment = Moment(tick, row, self.model, self.optimizer)
        votes = sum(callback(moment) is True for callback in self.callbacks)
        if self.callbacks and self.processes.sum(votes):
            self.stopped = "callback"
        if late:
            self.stopped = "minutes"
        elif not finished:
            self.stopped = self.stopped or self.why_stop()
        if self.keeper and (ended or _is_due(options.save_every, state.step, ended)):
            self.keeper.save()

    def one_step(self, parts: Sequence[Any]) -> float:
        """One step of the optimiser on the mean loss over all the batches `parts`; that mean."""
        rate = self.rate(self.state.step) * _share(parts)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total = count = divisor = 0.0
        for number, batch in enumerate(parts, 1):
            with nullcontext() if number == len(parts) else self.processes.apart(self.network):
                found = self.loss(self.network, batch) if batch is not None else self.idle()
                shown = found.total if found.shown is None else found.shown
                sums = self.processes.sum([shown.item(), float(found.count)])
                self.check(sums[0], "loss", self.state.step + 1)
                total, count = total + sums[0], count + sums[1]
                # The count of the whole step is known with its last batch; until then the first one's stands for it.
                divisor = divisor or sums[1] or 1.0
                (found.total / (divisor / self.processes.world)).backward()
        if len(parts) > 1:
            self.scale_gradients(divisor / (count or 1.0))
        if self.options.clip:
            clip_gradients(self.parameters, self.options.clip)
        self.optimizer.step()
        self.state.step += 1
        self.state.total, self.state.count = self.state.total + total, self.state.count + count
        if self.average:
            self.average.update(self.model, self.state.step)
        return total / count if count else 0.0

    def idle(self) -> Sum:
        return Sum(self.processes.idle(self.network), 0.0)

    def scale_gradients(self, factor: float) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def why_stop(self) -> str:
        """ "patience" when validation has not improved for long enough; else nothing."""
        return "patience" if 0 < self.options.patience <= self.state.waiting else ""

    def is_late(self) -> bool:
        """Whether another step and validation would go beyond the time, by the first process's clock."""
        if not self.options.minutes:
            return False
        seconds = self.seconds()
        after_next = seconds * (1 + 1 / self.state.step) + self.validating
        return self.processes.first(60 * self.options.minutes < after_next)

    def check(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            rate = self.rate(min(step, self.steps) - 1)
            raise GatewiseError(
                f"the {name} is {value} at step {step}, where the learning rate is {rate:.3g}"
            )

    def rate(self, step: int) -> float:
        options = self.options
        return options.learning_rate * schedule(
            step,
            self.steps,
            options.warmup,
            options.schedule,
            epochs=options.epochs,
            decay=options.decay,
            decay_from=options.decay_from,
        )

    def seconds(self) -> float:
        self.state.seconds = time.monotonic() - self.started
        return self.state.seconds

    def row(self, epoch: int) -> Mapping[str, float]:
        """Validate, and add a row to the history; its loss is the mean since the last row."""
        state = self.state
        mean = state.total / state.count if state.count else 0.0
        row = {"epoch": epoch, "step": state.step, "loss": mean} | self.validate(epoch)
        row |= {"learning_rate": self.rate(state.step - 1), "seconds": self.seconds()}
        state.total = state.count = 0.0
        state.history.append(row)
        if self.average:
            self.average.look(state.history)
        if self.keeper:
            self.keeper.log_row(row)
        self.report.epoch(row)
        return row

    def validate(self, epoch: int) -> dict[str, float]:
        """Evaluate the weights that would be kept, and keep them where they are the best so far."""
        if self.evaluate is None:
            return {}
        begun = time.monotonic()
        candidate = self.candidate
        candidate.train(False)
        with torch.no_grad():
            own = {name: float(value) for name, value in self.evaluate(candidate).items()}
            found = self.processes.first(own)  # that all of them keep the same weights
        self.model.train()
        self.check(found["loss"], "validation loss", self.state.step)
        metric = self.options.metric
        score = [-found["loss"] if metric == "loss" else found[metric], -found["loss"]]
        self.state.waiting += 1
        if not self.state.best or score > self.state.best:
            self.best = {name: value.clone() for name, value in candidate.state_dict().items()}
            self.state.best, self.state.best_epoch, self.state.waiting = score, epoch, 0
        self.validating = time.monotonic() - begun
        return {f"validation_{name}": value for name, value in found.items()}

    @property
    def candidate(self) -> nn.Module:
        """The model whose weights would be kept if the training ended now."""
        return self.average.model if self.average and self.average.ready else self.model

    def restore_best(self) -> None:
        """The best validated weights; without any, the averaged or last ones."""
        if self.best:
            self.model.load_state_dict(self.best)
        elif self.candidate is not self.model:
            self.model.load_state_dict(self.candidate.state_dict())
        self.model.train(False)

    def close(self) -> None:
        self.report.close()
        self.loader.close()
        if self.keeper:
            self.keeper.close()


def _of_part(prepare: Prepare | None, processes: Processes) -> Prepare:
    """Makes of a process's part of a batch what the loss takes, or None of an empty one."""
    if processes.world == 1:
        return prepare or (lambda batch: batch)

    def prepared(part: Any) -> Any:
        if isinstance(part, Sized) and not len(part):
            return None
        return prepare(part) if prepare else part

    return prepared


def _share(parts: Sequence[Any]) -> float:
    """The mean share of the learning rate that the batches of a step ask for; 1 of those that ask for none."""
    return sum(getattr(part, "rate", 1.0) for part in parts) / len(parts)


def _is_due(every: int, step: int, ended: bool) -> bool:
    """Whether something done every so many steps, or at each epoch's end (0), is due now."""
    return step % every == 0 if every else ended
