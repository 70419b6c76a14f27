"""`gatewise evaluate` of a translator: loss, BLEU and chrF on pairs that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.options import Device, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching
from gatewise.cli.translate.figures import print_figures
from gatewise.cli.translate.train import describe

if TYPE_CHECKING:
    pass


def evaluate(
    run: RunFolder,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Pairs, or lines of sources.")],
    targets: Annotated[
        Path | None, typer.Argument(metavar="[TARGETS]", help="A file with the target of each line of DATA.")
    ] = None,
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    save: Annotated[
        bool,
        typer.Option("--save", help="Note the figures in the run's metrics and model card, as its test."),
    ] = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Loss, perplexity, BLEU and chrF of a run on pairs.

    Example: [bold]gatewise evaluate runs/de-en test.de test.en[/bold]
    """
    from gatewise.data.pairs import read_pairs
    from gatewise.tasks.translate.fitted import load_fitted

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    config = fitted.config
    pairs = read_pairs(data, targets, source=config.source or None, target=config.target or None)
    out.text.print(describe(pairs))
    figures = fitted.evaluate(pairs, **searching(beams, length_penalty, coverage_penalty))
    print_figures(figures, out.text)
    if save:
        fitted.note_test(run, figures)
        out.text.print(f"noted in {run}")
    out.result({"run": str(run)} | figures)
