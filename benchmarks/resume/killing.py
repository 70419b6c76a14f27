"""One process kills another at a random moment, and looks at what it leaves and at what becomes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.resume.trainings import Training
from gatewise.errors import RunError
from gatewise.training.checkpoint import load_checkpoint

AIMED = 0.35
"""Share of the kills that wait for a checkpoint that is being written."""
AGAIN = 0.3
"""Share of the resumed trainings that are killed once more."""


@dataclass(frozen=True)
class Whole:
    """An undisturbed training: what every other one must come to."""

    steps: bytes
    rows: list[dict[str, float]]
    weights: bytes
    seconds: float


@dataclass
class Killed:
    """A training that was killed one or more times and went on to its end.

    Attributes:
        moments: where it was each time: "before the first checkpoint", "training", "saving" (a checkpoint is half
            written), "after the last step".
        checkpoints: how many were found after the kills; `unreadable`: what was wrong with those that do not load.
        different: what is not the same as in the undisturbed training, of "steps", "rows", "weights", and "steps before
            the kill", the part that the resumed training wrote again.
    """

    training: str
    moments: list[str]
    checkpoints: int
    unreadable: list[str]
    different: list[str]


def undisturbed(training: Training, out: Path) -> Whole:
    begun = time.monotonic()
    _end(_start(training, out, resume=False))
    seconds = time.monotonic() - begun
    steps, rows, weights = _left(out)
    return Whole(steps, rows, weights, seconds)


def kill(training: Training, whole: Whole, out: Path, draw: random.Random) -> Killed:
    """Train, be killed, resume until the end; afterwards nothing is left of it."""
    killed = Killed(training.name, [], 0, [], [])
    place = out.with_name(f"{out.name}.training")
    while not killed.moments or draw.random() < AGAIN:
        child = _start(training, out, resume=bool(killed.moments))
        if not _kill_at_random(child, whole.seconds, place / "checkpoints", draw):
            if killed.moments:
                break  # what was left of it ended sooner
            shutil.rmtree(out)
            continue
        killed.moments.append(_moment(place, whole))
        _look(place, whole, killed)
    if not out.exists():
        _end(_start(training, out, resume=True))
    steps, rows, weights = _left(out)
    named = {"steps": steps == whole.steps, "rows": rows == whole.rows, "weights": weights == whole.weights}
    killed.different += [name for name, same in named.items() if not same]
    shutil.rmtree(out)
    return killed


def _start(training: Training, out: Path, *, resume: bool) -> int:
    """The training in a process of its own, which has imported everything already; its number."""
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        log = os.open(out.with_name("errors.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 2)
        code = 1
        try:
            code = training.run(out, resume)
        finally:
            os._exit(code)
    return child


def _end(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a training that nobody killed ended with {os.waitstatus_to_exitcode(status)}")


def _kill_at_random(child: int, seconds: float, checkpoints: Path, draw: random.Random) -> bool:
    """False when the child had ended before."""
    moment = time.monotonic() + draw.uniform(0, seconds)
    aimed, delay = draw.random() < AIMED, draw.uniform(0, 0.01)
    while time.monotonic() < moment:
        if _has_ended(child):
            return False
        time.sleep(min(0.01, max(moment - time.monotonic(), 0)))
    while aimed and not _half_written(checkpoints):
        if _has_ended(child):
            return False
    if aimed:
        time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _has_ended(child: int) -> bool:
    found, status = os.waitpid(child, os.WNOHANG)
    if found and status:
        raise RuntimeError(f"a training ended with {os.waitstatus_to_exitcode(status)} before it was killed")
    return bool(found)


def _half_written(checkpoints: Path) -> bool:
    try:
        return any(name.startswith(".step-") for name in os.listdir(checkpoints))  # noqa: PTH208 - quicker
    except FileNotFoundError:
        return False


def _moment(place: Path, whole: Whole) -> str:
    if _half_written(place / "checkpoints"):
        return "saving"
    if not list(_checkpoints(place)):
        return "before the first checkpoint"
    lines = (place / "steps.jsonl").read_bytes().count(b"\n")
    return "after the last step" if lines == whole.steps.count(b"\n") else "training"


def _checkpoints(place: Path) -> Iterator[Path]:
    return (place / "checkpoints").glob("step-*")


def _look(place: Path, whole: Whole, killed: Killed) -> None:
    """Load every checkpoint that is there, and compare what was logged before the kill."""
    for path in _checkpoints(place):
        killed.checkpoints += 1
        try:
            load_checkpoint(path)
        except RunError as error:
            killed.unreadable.append(str(error))
    if (place / "steps.jsonl").exists():
        logged = (place / "steps.jsonl").read_bytes()
        if not whole.steps.startswith(logged):
            killed.different.append("steps before the kill")


def _left(out: Path) -> tuple[bytes, list[dict[str, Any]], bytes]:
    """Steps and weights as they lie, and the rows but for the seconds."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    plain = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return (out / "steps.jsonl").read_bytes(), plain, (out / "model.safetensors").read_bytes()
