"""What a training says while it runs: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from gatewise.errors import UsageError


@dataclass(frozen=True)
class Tick:
    """One step: how far, how well, how fast.

    Args:
        step, steps: steps done and planned in all.
        epoch, epochs: the running epoch, from 1, and the planned ones.
        loss: mean training loss since the last row of the history, as a rule of the epoch so far.
        seconds: since the training began.
        step_loss, learning_rate: of this step.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    seconds: float
    step_loss: float
    learning_rate: float

    @property
    def steps_per_second(self) -> float:
        return self.step / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Expected for the steps that remain."""
        return (self.steps - self.step) / self.steps_per_second


class Reporter(Protocol):
    """Receives a training's progress: each step, each row of the history, notes, and what callbacks measure by name.

    `close` is always called, also after an error.
    """

    def step(self, tick: Tick) -> None: ...
    def epoch(self, row: Mapping[str, float]) -> None: ...
    def note(self, text: str) -> None: ...
    def figures(self, step: int, values: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class Silent:
    """Says nothing."""

    def step(self, tick: Tick) -> None: ...
    def epoch(self, row: Mapping[str, float]) -> None: ...
    def note(self, text: str) -> None: ...
    def figures(self, step: int, values: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class Several:
    """Passes everything on to several reporters."""

    def __init__(self, *reporters: Reporter):
        self.reporters = reporters

    def step(self, tick: Tick) -> None:
        for one in self.reporters:
            one.step(tick)

    def epoch(self, row: Mapping[str, float]) -> None:
        for one in self.reporters:
            one.epoch(row)

    def note(self, text: str) -> None:
        for one in self.reporters:
            one.note(text)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        for one in self.reporters:
            one.figures(step, values)

    def close(self) -> None:
        for one in self.reporters:
            one.close()


class Lines:
    """Plain lines: one an epoch, and one whenever `every` seconds have passed.

    Args:
        write: receives each line.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        write: Callable[[str], object] = print,
        every: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.write, self.every, self.clock = write, every, clock
        self.last = clock()

    def step(self, tick: Tick) -> None:
        if self.clock() - self.last >= self.every:
            self.last = self.clock()
            self.write(f"step {tick.step}/{tick.steps}  epoch {tick.epoch}/{tick.epochs}  {speed(tick)}")

    def epoch(self, row: Mapping[str, float]) -> None:
        self.last = self.clock()
        self.write(summary(row))

    def note(self, text: str) -> None:
        self.write(text)

    def figures(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class _Speed(ProgressColumn):
    """The text of `speed`, from the task's fields."""

    def render(self, task: Task) -> Text:
        tick = task.fields.get("tick")
        return Text(speed(tick) if tick else "", style="cyan")


class Bar:
    """A rich progress bar; each finished epoch leaves a line above it."""

    def __init__(self, console: Console):
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(), _Speed(), console=console
        )
        self.task = None

    def step(self, tick: Tick) -> None:
        if self.task is None:
            self.progress.start()
            self.task = self.progress.add_task("", total=tick.steps, tick=tick, epoch="")
        self.progress.update(self.task, completed=tick.step, tick=tick, epoch=f"{tick.epoch}/{tick.epochs}")

    def epoch(self, row: Mapping[str, float]) -> None:
        self.note(summary(row))

    def note(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def figures(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None:
        self.progress.stop()


def reporter(kind: str | Reporter | None = "auto", console: Console | None = None) -> Reporter:
    """A reporter by name: auto (a bar on a terminal, else lines), bar, lines, silent (or None); or itself.

    Output goes to `console`, by default standard error, so that standard output stays free for results.
    """
    if kind is not None and not isinstance(kind, str):
        return kind
    console = console or Console(stderr=True)
    if kind == "auto":
        kind = "bar" if console.is_terminal else "lines"
    if kind == "bar":
        return Bar(console)
    if kind == "lines":
        return Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
    if kind in ("silent", None):
        return Silent()
    raise UsageError(f"progress is {kind!r}; it must be auto, bar, lines or silent")


def speed(tick: Tick) -> str:
    """Loss, steps a second and time left in one short text."""
    return f"loss {tick.loss:.4f}  {tick.steps_per_second:.1f} steps/s  {duration(tick.seconds_left)} left"


def summary(row: Mapping[str, float]) -> str:
    """One epoch's figures in one line."""
    parts = [f"epoch {row['epoch']:.0f}", f"loss {row['loss']:.4f}"]
    parts += [f"{name} {value:.4f}" for name, value in row.items() if name.startswith("validation_")]
    return "  ".join([*parts, duration(row["seconds"])])


def duration(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
