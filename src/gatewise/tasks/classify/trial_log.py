"""Finished trials of a comparison in a file, so that a long one can be continued."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gatewise.errors import UsageError
from gatewise.files import parse_json, read_lines
from gatewise.tasks.classify.comparison import Trial

MOST_BYTES = 50_000_000
"""Of a log, which has 300 a trial."""


class TrialLog:
    """Finished trials as JSON lines, each with the fingerprint of what is compared.

    Args:
        path: the file, which may exist; None keeps nothing.
        setup: the fingerprint.

    Raises:
        UsageError: the file holds something else, or trials of another setup.
    """

    def __init__(self, path: str | Path | None, setup: str):
        self.path, self.setup = Path(path) if path else None, setup
        self.trials = (
            read_lines(self.path, MOST_BYTES, UsageError, self._of_this_setup)
            if self.path and self.path.exists()
            else []
        )

    def _of_this_setup(self, line: str, place: str) -> Trial:
        setup, trial = _parsed(line, place)
        if setup != self.setup:
            raise UsageError(f"{place}: a trial on other data or with other options; name another file")
        return trial

    def find(self, model: str, size: int, seed: int, tuned: float | None) -> Trial | None:
        """The logged trial; any setting counts where `tuned` is None. A later line stands for an earlier one."""
        for trial in reversed(self.trials):
            if (trial.model, trial.size, trial.seed) == (model, size, seed) and tuned in (None, trial.tuned):
                return trial
        return None

    def add(self, trial: Trial) -> None:
        """Append a trial."""
        if self.path:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(trial) | {"setup": self.setup}) + "\n")


def _parsed(line: str, place: str) -> tuple[Any, Trial]:
    """The setup and the trial that a line holds."""
    fault = UsageError(f"{place}: not a trial of a comparison")
    try:
        values = parse_json(line, place, UsageError)
        setup = values.pop("setup")
        trial = Trial(**values)
    except (UsageError, TypeError, KeyError, AttributeError):
        raise fault from None
    if not all(isinstance(getattr(trial, name), kinds) for name, kinds in _KINDS.items()):
        raise fault
    return setup, trial


_NUMBER = (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,), "size": (int,), "seed": (int,), "tuned": _NUMBER, "parameters": (int,), "seconds": _NUMBER,
    "validation_accuracy": _NUMBER, "validation_loss": _NUMBER,
    "test_accuracy": (*_NUMBER, type(None)), "test_macro_f1": (*_NUMBER, type(None)),
}  # fmt: skip
