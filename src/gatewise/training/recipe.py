"""One training of a recipe: the processes, folder, settings and notes around the loop, and what is said of it after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import nn

from gatewise.data.loader import Prepare
from gatewise.errors import UsageError
from gatewise.training.callbacks import Callback
from gatewise.training.config import dump_config
from gatewise.training.device import pick_device
from gatewise.training.distributed import Processes
from gatewise.training.job import Job, job_reporter, run_folder, settings, stopped_early
from gatewise.training.loop import Batches, Evaluate, Loss, fit
from gatewise.training.options import Outcome
from gatewise.training.progress import Reporter
from gatewise.training.provenance import trained, versions
from gatewise.training.recipe_config import C, loop_options, what_lasts
from gatewise.training.run import CONFIG

TRAINING, VALIDATION = "training data", "validation data"


class Hashed(Protocol):
    """Data that were read, and can be told from others by their hash."""

    @property
    def sha256(self) -> str: ...


class Noted(Protocol):
    """Data of which something was left out, in sentences."""

    @property
    def notes(self) -> Sequence[str]: ...


D = TypeVar("D")


@dataclass
class Training(Generic[C]):
    """A training that is under way; `begin_training` makes it.

    Attributes:
        config: the options; a recipe may complete them before `fit`.
        folder: where the run grows, or None.
        hashes: the SHA-256 of what is read, by name; a training that goes on must read the same.
        notes: what a reader of the figures should know, in sentences.
    """

    task: str
    config: C
    job: Job
    processes: Processes
    folder: Path | None
    report: Reporter
    hashes: dict[str, str]
    notes: list[str]

    def fit(
        self,
        network: nn.Module,
        batches: Batches,
        loss: Loss,
        *,
        metric: str = "loss",
        prepare: Prepare | None = None,
        evaluate: Evaluate | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Outcome:
        """Tell the notes, train the network, and note when that ended early; see `gatewise.training.loop.fit`.

        Raises:
            UsageError: also an average that begins by validation figures, without a validation part.
        """
        if self.config.average == "nt-asgd" and evaluate is None:
            raise UsageError("average is 'nt-asgd', which needs a validation part, and there is none")
        if self.folder and self.processes.is_first and not (self.folder / CONFIG).exists():
            dump_config(self.config, self.folder / CONFIG, task=self.task)
        for note in self.notes:
            self.report.note(note)
        outcome = fit(
            network.to(self.processes.device),
            batches,
            loss,
            loop_options(self.config, metric),
            prepare=prepare,
            evaluate=evaluate,
            report=self.report,
            callbacks=callbacks,
            processes=self.processes,
            folder=self.folder,
            resume=self.job.resumes,
            about=what_lasts(self.config, self.hashes),
            config=dump_config(self.config, None, task=self.task),
        )
        if outcome.stopped != "finished":
            self.notes.append(stopped_early(outcome))
            self.report.note(self.notes[-1])
        return outcome

    def described(self, outcome: Outcome, network: nn.Module, **said: Any) -> dict[str, Any]:
        """What `metrics.json` says besides figures; `said` are the data, the split and what else a recipe has."""
        return {
            "format": 1,
            "task": self.task,
            **said,
            "training": trained(outcome, network),
            "versions": versions(),
            "command": self.job.command,
            "notes": self.notes,
        }

    def split(self, part: Sized, held_out: Sized | None, how: str) -> dict[str, Any]:
        """The entry "split".

        Args:
            how: in which way the validation part was held out, where none was given.
        """
        drawn = f"{self.config.validation:g} {how}, seed {self.config.seed}"
        return {
            "training": len(part),
            "validation": len(held_out) if held_out is not None else 0,
            "how": "given" if VALIDATION in self.hashes else drawn,
        }

    def save(self, write: Callable[[Path], None]) -> None:
        """Let the first process write the run, where there is a folder for it."""
        if self.folder and self.processes.is_first:
            write(self.folder)


@contextmanager
def begin_training(
    config: C, job: Job, *, task: str, hashes: dict[str, str], notes: Sequence[str]
) -> Iterator[Training[C]]:
    """A training by these options. When the block ends well the run is in its place.

    Raises:
        RunError: `job.out` is taken. UsageError: options that do not fit the machine, or that need a folder.
    """
    with (
        Processes.current(pick_device(config.device)) as processes,
        run_folder(job, processes, keep_checkpoints=config.keep_checkpoints > 0) as folder,
        settings(processes.device, config.seed, config.threads),
    ):
        report = job_reporter(job, folder, processes)
        yield Training(task, config, job, processes, folder, report, hashes, [*notes])


def hashes_of(train: Hashed, validation: Hashed | None) -> dict[str, str]:
    """The SHA-256 of data and of a validation part that was given, by their names."""
    found = {TRAINING: train.sha256}
    return found if validation is None else found | {VALIDATION: validation.sha256}


def notes_of(train: Noted, validation: Noted | None) -> list[str]:
    """What was left out of data, and of a validation part that was given."""
    given = validation.notes if validation is not None else ()
    return [*train.notes, *(f"validation: {note}" for note in given)]


def sources(describe: Callable[[D], dict[str, Any]], train: D, validation: D | None) -> dict[str, Any]:
    """The entry "data", and "validation_data" where such a part was given."""
    found = {"data": describe(train)}
    return found if validation is None else found | {"validation_data": describe(validation)}
