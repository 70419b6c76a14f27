"""`gatewise evaluate`: the figures of a run on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.classify.figures import print_confusion, print_figures
from gatewise.cli.classify.reading import columns_for, describe, read_labelled
from gatewise.cli.options import Device, IdColumn, LabelColumn, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output

if TYPE_CHECKING:
    pass


def evaluate(
    run: RunFolder,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled data of the same kind.")],
    text: TextColumn = None,
    label: LabelColumn = None,
    id: IdColumn = None,
    save: Annotated[
        bool,
        typer.Option("--save", help="Note the figures in the run's metrics and model card, as its test."),
    ] = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Accuracy, F1, confusion and calibration of a run on data with labels.

    Example: [bold]gatewise evaluate runs/reviews test.csv[/bold]
    """
    from gatewise.tasks.classify.fitted import load_fitted

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    config = columns_for(data, fitted.config, {"text": text, "label": label, "id": id})
    labelled = read_labelled(data, config)
    out.text.print(describe(labelled))
    figures = fitted.evaluate(labelled)
    for note in figures["notes"]:
        out.text.print(f"note: {note}")
    print_figures(figures, out.text)
    print_confusion(figures, out.text)
    if save:
        fitted.note_test(run, figures)
        out.text.print(f"noted in {run}")
    out.result({"run": str(run)} | figures)
