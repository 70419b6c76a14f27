"""`gatewise train generate`: a language model from your text in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.training import (
    ConfigFile,
    Out,
    OverwriteRun,
    Resume,
    TensorBoard,
    ValidationData,
    first_of,
    job_of,
    print_trained,
)
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
    run: Out,
    valid: ValidationData = None,
    test_part: Annotated[
        str | None,
        typer.Option("--test-data", metavar="DATA", help="A test part of your own, noted by its hash."),
    ] = None,
    config_file: ConfigFile = None,
    overwrite: OverwriteRun = False,
    resume: Resume = False,
    tensorboard: TensorBoard = False,
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
    job = job_of(context, run, overwrite=overwrite, resume=resume, tensorboard=tensorboard)
    out = Output(as_json)
    from gatewise.tasks.generate import recipe

    with first_of(config.device, out) as (is_first, _):
        fitted = recipe.train(config, **job)
    if is_first:
        print_trained(fitted.metrics, run, out, _print_figures, ["evaluate {} TEXT", "generate {} --stream"])


def _print_figures(figures: Mapping[str, Any], text: Console) -> None:
    from gatewise.tasks.generate.card import sentence

    text.print(sentence(figures))
