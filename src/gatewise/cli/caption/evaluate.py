"""`gatewise evaluate` of a captioner: loss, BLEU and chrF on pictures that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.caption.figures import print_figures
from gatewise.cli.caption.train import describe
from gatewise.cli.options import Device, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching


def evaluate(
    run: RunFolder,
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="Folder of the pictures or clips.")],
    captions: Annotated[Path, typer.Argument(metavar="CAPTIONS", help="Table with their sentences.")],
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
    """Loss, perplexity, share of exact sentences, BLEU and chrF of a run on pictures with sentences.

    Example: [bold]gatewise evaluate runs/seen images test.csv[/bold]
    """
    from gatewise.data.captions import read_captions
    from gatewise.tasks.caption.fitted import load_fitted

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    config = fitted.config
    data = read_captions(pictures, captions, image=config.image or None, caption=config.caption or None)
    out.text.print(describe(data))
    figures = fitted.evaluate(data, **searching(beams, length_penalty, coverage_penalty))
    print_figures(figures, out.text)
    if save:
        fitted.note_test(run, figures)
        out.text.print(f"noted in {run}")
    out.result({"run": str(run)} | figures)
