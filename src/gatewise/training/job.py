"""One call of a recipe: where it trains, how it reports, with which seed and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from gatewise.errors import UsageError
from gatewise.training.distributed import Processes, is_restart
from gatewise.training.folder import training_run
from gatewise.training.options import Outcome
from gatewise.training.progress import Reporter, Several, Silent, reporter
from gatewise.training.tensorboard import TensorBoard


@dataclass(frozen=True)
class Job:
    """What a training is told besides data and options: where to save, how to report, what to note down.

    Args:
        resume: go on with the training of the same options and data that was killed on its way to `out`.
        tensorboard: also write event files, into the folder `tensorboard` of the run.
        command: the command line, for the run's notes.
    """

    out: str | Path | None = None
    overwrite: bool = False
    resume: bool = False
    tensorboard: bool = False
    progress: str | Reporter | None = "auto"
    command: str = ""

    @property
    def resumes(self) -> bool:
        """Whether it goes on with a training: asked for, or started again by torchrun."""
        return self.resume or is_restart()


def run_folder(
    job: Job, processes: Processes, *, keep_checkpoints: bool = False
) -> AbstractContextManager[Path | None]:
    """The folder to train in, or None where nothing is to be saved.

    Raises:
        UsageError: what needs a folder is asked for, and none is given.
    """
    if job.out:
        return training_run(
            job.out,
            overwrite=job.overwrite,
            resume=job.resumes,
            keep_checkpoints=keep_checkpoints,
            processes=processes,
        )
    if job.resume or job.tensorboard:
        raise UsageError("resume and tensorboard need a run folder, and none is given")
    return nullcontext(None)


def job_reporter(job: Job, folder: Path | None, processes: Processes) -> Reporter:
    """Who tells how it goes; silent in all processes but the first."""
    if not processes.is_first:
        return Silent()
    report = reporter(job.progress)
    return Several(report, TensorBoard(folder / "tensorboard")) if folder and job.tensorboard else report


@contextmanager
def settings(device: torch.device, seed: int, threads: int = 0) -> Iterator[None]:
    """Seed and threads (0: as they are) of a training; the caller's random state and threads come back afterwards."""
    before = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        try:
            if threads:
                torch.set_num_threads(threads)
            yield
        finally:
            torch.set_num_threads(before)


def stopped_early(outcome: Outcome) -> str:
    """A sentence on a training that did not take all its epochs."""
    return _STOPS[outcome.stopped].format(epochs=outcome.epochs, steps=outcome.steps)


_STOPS = {
    "interrupted": "interrupted after {steps:,} steps and {epochs} whole epochs; the best weights until then were kept",
    "callback": "stopped after {steps:,} steps by a callback; the best weights until then were kept",
    "minutes": "the time was over after {steps:,} steps; the best weights until then were kept",
    "patience": "stopped after {epochs} epochs, for validation no longer improved; the best weights were kept",
}
