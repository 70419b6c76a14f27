"""The folder of a training that is under way, `RUN.training`: it becomes RUN by one rename when all is done."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gatewise.errors import RunError
from gatewise.training.checkpoint import latest_checkpoint
from gatewise.training.distributed import Processes
from gatewise.training.resume import CHECKPOINTS
from gatewise.training.run import CONFIG, refuse_filled, replace_run

LOCK = ".lock"


@contextmanager
def training_run(
    folder: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    keep_checkpoints: bool = False,
    processes: Processes | None = None,
) -> Iterator[Path]:
    """A folder beside `folder` to train in; it takes that place when the block ends well.

    It stays when the process is killed, and after an error once there is a checkpoint beyond the start; then
    `resume` goes on in it. Its checkpoints are removed at the end.

    Args:
        overwrite: replace an earlier run at `folder`, and throw away what an unfinished training left.
        resume: go on in the folder that an unfinished training left, or begin where there is none.
        keep_checkpoints: leave the checkpoints in the run.
        processes: those that train together, which must see the same disk; the first of them makes and moves folders.

    Raises:
        RunError: `folder` is taken; an unfinished training is there and neither flag is given; another process
            is training there.
    """
    processes = processes or Processes()
    target = Path(folder).absolute()
    place = target.with_name(f"{target.name}.training")
    refuse_filled(target, folder, overwrite)
    _refuse_unfinished(place, overwrite=overwrite, resume=resume)
    processes.barrier()  # each of them has looked before the first one makes anything
    if not processes.is_first:
        processes.barrier()
        yield place
        processes.barrier()
        return
    with _made(place, folder, resume=resume):
        try:
            processes.barrier()
            yield place
            refuse_filled(target, folder, overwrite)
            replace_run(target, place)
        except BaseException:
            if not _is_worth_resuming(place):
                shutil.rmtree(place, ignore_errors=True)
            raise
        if not keep_checkpoints:
            shutil.rmtree(target / CHECKPOINTS, ignore_errors=True)
        (target / LOCK).unlink(missing_ok=True)
    processes.barrier()  # the run is complete before anybody goes on


@contextmanager
def _made(place: Path, named: str | Path, *, resume: bool) -> Iterator[None]:
    """The folder, for this process alone; empty unless a training in it is resumed."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / LOCK).open("a")
    except OSError as error:
        raise RunError(f"{named}: cannot be made ({error.strerror})") from None
    with lock:
        _lock(lock, place)
        if not resume:
            _empty(place)
        yield


def _refuse_unfinished(place: Path, *, overwrite: bool, resume: bool) -> None:
    if not place.exists() and not place.is_symlink():
        return
    if not place.is_dir():
        raise RunError(f"{place}: is a file; an unfinished training is kept in a folder of that name")
    held = {path.name for path in place.iterdir()}
    if held and not held & {CONFIG, CHECKPOINTS, LOCK}:
        raise RunError(f"{place}: holds no unfinished training, so nothing in it is touched")
    if not (overwrite or resume):
        raise RunError(
            f"{place}: an unfinished training is there; go on with it (--resume, resume=True) or throw it away "
            "(--overwrite, overwrite=True)"
        )


def _empty(place: Path) -> None:
    """Remove everything but the lock."""
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _is_worth_resuming(place: Path) -> bool:
    """Whether a checkpoint of at least one step is there."""
    newest = latest_checkpoint(place / CHECKPOINTS)
    return newest is not None and re.search("[1-9]", newest.name) is not None


def _lock(stream: IO[str], place: Path) -> None:
    """Keep other processes out until the file is closed or this one ends, in whatever way.

    A lock of POSIX records, which forked workers do not inherit: those outlive a killed process by seconds.
    """
    if os.name != "posix":
        return
    import fcntl

    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunError(f"{place}: another process is training there") from None
