"""One trial: a network learns fresh sequences until the criterion is met or the budget is spent, and is tested."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gatewise.errors import GatewiseError, UsageError
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.reber import ReberStreams
from gatewise.tasks.long_lag.answers import Judged
from gatewise.tasks.long_lag.experiments import Batch, Experiment
from gatewise.training.carried import Carried
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions, Outcome
from gatewise.training.progress import Reporter
from gatewise.training.sums import Sum

POINTS = 40
"""Of a trial's curve, about."""

TEST_STREAMS = 10
TESTED_AT_ONCE = 128


@dataclass(frozen=True)
class Trial:
    """What one network came to.

    Args:
        success: whether the criterion was met within the budget (for endless streams: and the test is faultless).
        sequences: presented in training; with success, those that it took, the right ones in a row included unless
            the experiment says that they are tested `apart`.
        wrong, tested: sequences of the test that were wrong, and all of them; the weights are those at the end.
        mean_error: over the test, the error that the criterion looks at.
        stopped: "criterion", "budget" or "diverged" (the loss was not finite; then the test counts as all wrong).
        curve: (sequences presented, share of those since the point before that were right).
        options: `Experiment.options`.
    """

    experiment: str
    cell: str
    seed: int
    success: bool
    sequences: int
    wrong: int
    tested: int
    mean_error: float
    stopped: str
    parameters: int
    seconds: float
    curve: list[tuple[int, float]] = field(compare=False)
    options: dict[str, float] = field(compare=False)


class Watch:
    """Follows the sequences as they are presented: each is judged before anything is learnt from it."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.sequences = self.in_a_row = 0
        self.errors: deque[float] = deque(maxlen=experiment.recent)
        self.curve: list[tuple[int, float]] = []
        self._since = self._right = 0

    def see(self, judged: Judged) -> None:
        right = judged.right.tolist()
        self.sequences += len(right)
        self.errors.extend(judged.error.tolist())
        self.in_a_row = right[::-1].index(False) if False in right else self.in_a_row + len(right)
        self._since, self._right = self._since + len(right), self._right + sum(right)
        if self._since >= self.experiment.budget / POINTS:
            self.add_point()

    def add_point(self) -> None:
        """End the curve with what was seen since its last point."""
        if self._since:
            self.curve.append((self.sequences, self._right / self._since))
            self._since = self._right = 0

    @property
    def is_met(self) -> bool:
        """Whether the criterion is: enough right in a row, with a mean error that is small enough."""
        return self.in_a_row >= self.experiment.recent and sum(
            self.errors
        ) < self.experiment.mean_error * len(self.errors)


def run_trial(
    experiment: Experiment, cell: str, seed: int, *, device: str = "cpu", report: Reporter | None = None
) -> Trial:
    """Train and test one network; the same arguments give the same trial on the same machine.

    Args:
        cell: "rnn", "irnn", "gru" or "lstm"; gru and lstm start with chrono gates for `experiment.horizon` steps.
        seed: of the first weights and of all sequences; the caller's random state is left as it was.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Reader(
            cell,
            experiment.inputs,
            experiment.hidden_size,
            experiment.outputs,
            horizon=experiment.horizon,
            lookup=experiment.lookup,
        ).to(device)
    watch = Watch(experiment)

    def judged(model: nn.Module, batch: Batch, state: Any) -> tuple[Sum, Any]:
        found, state = _judge(experiment, model, batch, state if experiment.window else None)
        watch.see(found)
        return Sum(found.total, found.count), state if experiment.window else None

    begun = time.monotonic()
    options = LoopOptions(1, experiment.learning_rate, warmup=0, betas=(0.9, 0.999), clip=experiment.clip)
    stopped, wrong, error = "diverged", experiment.tested, 1.0
    with suppress(_DivergedError):
        outcome = _fit(model, Fresh(experiment, seed), Carried(judged), options, watch, report)
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt
        stopped = "criterion" if watch.is_met else "budget"
        wrong, error = _test(experiment, model, seed)
    watch.add_point()
    return Trial(
        experiment.name,
        cell,
        seed,
        stopped == "criterion" and not (experiment.window and wrong),
        watch.sequences - (watch.in_a_row if experiment.apart and watch.is_met else 0),
        wrong,
        experiment.tested,
        error,
        stopped,
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        time.monotonic() - begun,
        watch.curve,
        experiment.options(),
    )


class Fresh(Sequence[Batch]):
    """The training batches of a trial, each drawn when it is asked for; the streams of windows in their order alone."""

    def __init__(self, experiment: Experiment, seed: int):
        self.experiment, self.seed = experiment, seed
        self.streams = ReberStreams(experiment.batch_size, generator=_generator(seed, 0))

    def __len__(self) -> int:
        return self.experiment.budget // self.experiment.batch_size

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.experiment.window:
            return self.experiment.draw(self.streams, self.experiment.window)
        return self.experiment.draw(
            self.experiment.batch_size, generator=_generator(self.seed, 1 + int(index))
        )


class _DivergedError(Exception):
    """Raised in place of the loop's own error, which has no class of its own."""


def _fit(
    model: nn.Module,
    batches: Fresh,
    loss: Carried,
    options: LoopOptions,
    watch: Watch,
    report: Reporter | None,
) -> Outcome:
    try:
        return fit(model, lambda _: batches, loss, options, report=report, callbacks=[lambda _: watch.is_met])
    except GatewiseError as fault:
        if isinstance(fault, UsageError):
            raise
        raise _DivergedError from fault


@torch.no_grad()
def _test(experiment: Experiment, model: nn.Module, seed: int) -> tuple[int, float]:
    """How many of the test's sequences are wrong, and the mean error."""
    generator = torch.Generator().manual_seed(seed + _TEST)
    streams = ReberStreams(TEST_STREAMS, generator=generator)
    wrong = done = 0
    error, state = 0.0, None
    while done < experiment.tested:
        if experiment.window:
            batch = experiment.draw(streams, experiment.window)
        else:
            count = min(TESTED_AT_ONCE, experiment.tested - done)
            batch = experiment.draw(count, generator=generator)
            state = None
        found, state = _judge(experiment, model, batch, state)
        wrong, done = wrong + int((~found.right).sum()), done + len(found.right)
        error += float(found.error.sum())
    return wrong, error / done


def _judge(experiment: Experiment, model: nn.Module, batch: Batch, state: Any) -> tuple[Judged, Any]:
    device = next(model.parameters()).device
    x, *answer = (part.to(device) for part in batch)
    outputs, state = model(x, state)
    return experiment.judge(outputs, *answer), state


def _generator(seed: int, step: int) -> torch.Generator:
    """Draws of one batch, the same whatever was drawn before."""
    return torch.Generator().manual_seed(_STEPS * (seed + 1) + step)


_STEPS = 1_000_000_007
_TEST = 500_000_000
