"""What every comparison of runs takes, and how its outcome is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.output import Output

if TYPE_CHECKING:
    from gatewise.comparing.comparison import Comparison

Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Folders of trained runs; the others are compared with the first."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the bootstrap's resamples.")]


def show(found: Comparison, out: Output) -> None:
    """The table, or the JSON object."""
    out.text.print(found.to_markdown())
    out.result(found.to_dict())
