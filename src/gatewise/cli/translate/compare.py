"""`gatewise compare` of translators: BLEU, chrF and loss on the same pairs, with paired intervals."""

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
    texts: Annotated[
        Path,
        typer.Option("--data", metavar="DATA", help="The data to measure them on, as evaluate takes it."),
    ],
    targets: Annotated[
        Path | None, typer.Option("--targets", metavar="FILE", help="The target of each line of DATA.")
    ] = None,
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Set trained translators side by side on the same pairs: loss, BLEU and chrF.

    Example: [bold]gatewise compare runs/small runs/large --data test.de --targets test.en[/bold]
    """
    from gatewise.tasks.translate.compare import compare as compare_runs

    out = Output(as_json)
    search = searching(beams, length_penalty, coverage_penalty)
    show(compare_runs(runs, texts, targets, seed=seed, device=device, **search), out)
