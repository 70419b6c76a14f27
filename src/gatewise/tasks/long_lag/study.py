"""A long-lag study: every experiment with every cell and seed, one trial after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from gatewise.errors import UsageError
from gatewise.synthetic.reader import READERS
from gatewise.tasks.long_lag.experiments import EXPERIMENTS, Experiment
from gatewise.tasks.long_lag.table import Study
from gatewise.tasks.long_lag.trial import Trial, run_trial
from gatewise.tasks.long_lag.trial_log import TrialLog
from gatewise.training.progress import Reporter

Told = Callable[[Trial], object]


def study(
    experiments: Collection[Experiment] = tuple(EXPERIMENTS.values()),
    *,
    cells: Sequence[str] = ("rnn", "gru", "lstm"),
    seeds: Sequence[int] = range(5),
    log: str | Path,
    device: str = "cpu",
    report: Callable[[], Reporter] | None = None,
    told: Told | None = None,
    train: bool = True,
) -> Study:
    """Make the trials that the log does not hold, and return all that were asked for.

    Each finished trial is appended to the log at once; Ctrl-C loses the one that runs. A logged trial counts when its
    options are those of the experiment now.

    Args:
        experiments: such as `chosen` finds by their names.
        cells: of "rnn", "irnn", "gru", "lstm".
        log: a file of JSON lines, which may exist.
        device: a torch device.
        report: makes what follows the training of a trial.
        told: called with each new trial.
        train: False: only what the log holds.

    Raises:
        UsageError: a cell that does not exist, or a log that holds something else.
    """
    _check("cell", cells, READERS)
    logged = TrialLog(Path(log))
    found = []
    for experiment in experiments:
        for cell in cells:
            for seed in seeds:
                trial = logged.find(experiment, cell, seed)
                if trial is None and train:
                    trial = run_trial(
                        experiment, cell, seed, device=device, report=report() if report else None
                    )
                    logged.add(trial)
                    if told:
                        told(trial)
                if trial is not None:
                    found.append(trial)
    return Study(found)


def chosen(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these names; all of them without a name.

    Raises:
        UsageError: a name that does not exist.
    """
    _check("experiment", names, EXPERIMENTS)
    return [EXPERIMENTS[name] for name in names or EXPERIMENTS]


def _check(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"there is no {kind} {name!r}; it must be one of {', '.join(known)}")
