"""Finished trials of a comparison in a file, so that a long one can be continued."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from gatewise.errors import UsageError
from gatewise.tasks.classify.comparison import Trial


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
        self.trials = self._read() if self.path and self.path.exists() else []

    def _read(self) -> list[Trial]:
        assert self.path is not None
        found = []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a line that a kill cut short has no end
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                values = json.loads(line)
                setup = values.pop("setup")
                trial = Trial(**values)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise UsageError(f"{self.path}, line {number}: not a trial of a comparison") from None
            if setup != self.setup:
                raise UsageError(
                    f"{self.path}, line {number}: a trial on other data or with other options; name another file"
                )
            found.append(trial)
        if whole != text:
            self.path.write_text(whole, encoding="utf-8")
        return found

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
