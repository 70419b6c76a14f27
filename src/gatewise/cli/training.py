"""What the commands `gatewise train TASK` have in common."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gatewise.cli.output import Output

Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the trained run.")]
ValidationData = Annotated[
    str | None,
    typer.Option("--valid", metavar="DATA", help="A validation part of your own; else some is held out."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Options from a TOML file; flags override it.")
]
OverwriteRun = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run at RUN.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a training that was killed; begin where there is none.")
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write event files, into RUN/tensorboard.")
]


def job_of(
    context: typer.Context, run: Path, *, overwrite: bool, resume: bool, tensorboard: bool
) -> dict[str, Any]:
    """The fields of a `Job`, with the command line as it was given."""
    command = shlex.join(["gatewise", *context.obj])
    return {
        "out": run, "overwrite": overwrite, "resume": resume, "tensorboard": tensorboard, "command": command,
    }  # fmt: skip


@contextmanager
def first_of(device: str, out: Output) -> Iterator[tuple[bool, Callable[[str], None]]]:
    """Join the processes that train: this one, or those that torchrun has started.

    Yields: whether this is the first of them, and what says a sentence in that one alone.
    """
    from gatewise.training.device import pick_device
    from gatewise.training.distributed import Processes

    with Processes.current(pick_device(device)) as processes:
        yield processes.is_first, out.text.print if processes.is_first else lambda text: None


def print_trained(
    metrics: Mapping[str, Any],
    run: Path,
    out: Output,
    show: Callable[[Mapping[str, Any], Console], None],
    following: list[str],
) -> None:
    """The validation figures, where the run is, and what can be done with it next.

    Args:
        show: prints figures.
        following: commands; `{}` stands for the run.
    """
    if "validation" in metrics:
        out.text.print("\nvalidation")
        show(metrics["validation"], out.text)
    out.text.print(f"\nsaved in {run}; next:")
    for command in following:
        out.text.print(f"  gatewise {command.format(shlex.quote(str(run)))}")
    out.result({"run": str(run)} | dict(metrics))
