"""`gatewise compare` of captioners: loss, exact sentences and BLEU on the same pictures, with paired intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.comparing import Runs, Seed, show
from gatewise.cli.options import Device
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching


def compare(
    runs: Runs,
    pictures: Annotated[
        Path, typer.Option("--pictures", metavar="FOLDER", help="The pictures or clips to measure them on.")
    ],
    captions: Annotated[
        Path, typer.Option("--captions", metavar="FILE", help="Table with the sentences of the pictures.")
    ],
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Set trained captioners side by side on the same pictures: loss, exact sentences, BLEU and chrF.

    Example: [bold]gatewise compare runs/seen runs/blind --pictures images --captions test.csv[/bold]
    """
    from gatewise.tasks.caption.compare import compare as compare_runs

    out = Output(as_json)
    search = searching(beams, length_penalty, coverage_penalty)
    show(compare_runs(runs, pictures, captions, seed=seed, device=device, **search), out)
