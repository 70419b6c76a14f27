"""`gatewise compare` of language models: bits a character of the same text, with paired intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.comparing import Runs, Seed, show
from gatewise.cli.generate.evaluate import Window
from gatewise.cli.options import Device
from gatewise.cli.output import JsonFlag, Output


def compare(
    runs: Runs,
    texts: Annotated[
        Path,
        typer.Option("--data", metavar="DATA", help="The data to measure them on, as evaluate takes it."),
    ],
    window: Window = 0,
    block: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Bytes of the blocks of text that are resampled."),
    ] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Set trained language models side by side on a text, also such as read other tokens: bits a byte and a character.

    Example: [bold]gatewise compare runs/lstm runs/gru --data test.txt[/bold]
    """
    from gatewise.tasks.generate.compare import compare as compare_runs

    out = Output(as_json)
    show(compare_runs(runs, texts, window=window, block=block, seed=seed, device=device), out)
