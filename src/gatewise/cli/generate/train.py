"""`gatewise train generate`: a language model from your text in one call."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.tasks.generate.config import TASK, GenerateConfig


@config_flags(GenerateConfig, without=("data", "validation_data", "test_data"))
def train(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA…",
            help="Text files (also .gz) or folders of them; none: Python's standard library.",
            show_default=False,
        ),
    ] = None,
    *,
    run: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the trained run.")],
    valid: Annotated[
        str | None, typer.Option(metavar="DATA", help="A validation part of your own; else some is held out.")
    ] = None,
    test_part: Annotated[
        str | None,
        typer.Option("--test-data", metavar="DATA", help="A test part of your own, noted by its hash."),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Options from a TOML file; flags override it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run at RUN.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a training that was killed; begin where there is none."),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write event files, into RUN/tensorboard.")
    ] = False,
    as_json: JsonFlag = False,
    flags: dict[str, Any],
) -> None:
    """Train a language model of characters, bytes, byte pairs or words.

    Example: [bold]gatewise train generate book.txt --out runs/book[/bold]

    Words: [bold]gatewise train generate train.txt --valid valid.txt --tokens words --tie --out runs/words[/bold]

    After a crash: the same command with --resume goes on from the last checkpoint, bit for bit.
    """
    named = {"data": tuple(data or ()), "validation_data": valid, "test_data": test_part}
    config = build_config(
        GenerateConfig,
        config_file,
        flags | {name: value for name, value in named.items() if value},
        task=TASK,
    )
    from gatewise.tasks.generate import recipe
    from gatewise.tasks.generate.card import sentence
    from gatewise.training.device import pick_device
    from gatewise.training.distributed import Processes

    out = Output(as_json)
    command = shlex.join(["gatewise", *context.obj])
    with Processes.current(pick_device(config.device)) as processes:
        fitted = recipe.train(
            config, out=run, overwrite=overwrite, resume=resume, tensorboard=tensorboard, command=command
        )
    if not processes.is_first:
        return
    if "validation" in fitted.metrics:
        out.text.print(f"\nvalidation: {sentence(fitted.metrics['validation'])}")
    quoted = shlex.quote(str(run))
    out.text.print(
        f"\nsaved in {run}; next:\n  gatewise evaluate {quoted} TEXT\n  gatewise generate {quoted} --stream"
    )
    out.result({"run": str(run)} | fitted.metrics)
