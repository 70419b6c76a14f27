"""Finished trials in a file, a JSON line each, so that a study can be interrupted and continued."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from gatewise.errors import UsageError
from gatewise.files import parse_json, read_lines
from gatewise.tasks.long_lag.experiments import Experiment
from gatewise.tasks.long_lag.trial import Trial

MOST_BYTES = 50_000_000
"""Of a log, which has about 1,200 a trial."""


class TrialLog:
    """The trials of a study.

    Args:
        path: the file, which may exist.

    Raises:
        UsageError: the file holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self.trials = read_lines(path, MOST_BYTES, UsageError, _parsed) if path.exists() else []

    def find(self, experiment: Experiment, cell: str, seed: int) -> Trial | None:
        """The trial with the experiment's options as they are now; a later line stands for an earlier one."""
        wanted = (experiment.name, cell, seed, experiment.options())
        for trial in reversed(self.trials):
            if (trial.experiment, trial.cell, trial.seed, trial.options) == wanted:
                return trial
        return None

    def add(self, trial: Trial) -> None:
        """Append a trial."""
        self.trials.append(trial)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(trial)) + "\n")


def _parsed(line: str, place: str) -> Trial:
    fault = UsageError(f"{place}: not a trial of a long-lag study")
    try:
        values = parse_json(line, place, UsageError)
        trial = Trial(**values)
        curve = [(int(sequences), float(right)) for sequences, right in trial.curve]
    except (UsageError, TypeError, ValueError):
        raise fault from None
    if not curve or not all(isinstance(getattr(trial, name), kinds) for name, kinds in _KINDS.items()):
        raise fault
    return Trial(**(values | {"curve": curve}))


_NUMBER = (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    "experiment": (str,), "cell": (str,), "seed": (int,), "success": (bool,), "sequences": (int,), "wrong": (int,),
    "tested": (int,), "mean_error": _NUMBER, "stopped": (str,), "parameters": (int,), "seconds": _NUMBER,
    "curve": (list,), "options": (dict,),
}  # fmt: skip
