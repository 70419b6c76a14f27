"""`gatewise explain` of a captioner: where it looked for every word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.html_page import Html, HtmlPage
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching


def explain(
    run: RunFolder,
    given: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture, or a clip's folder of frames.")],
    html: Html = None,
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Show for every word of a sentence where in the picture, or at which frame, the model looked.

    Example: [bold]gatewise explain runs/seen dog.jpg --html dog.html[/bold]
    """
    from gatewise.tasks.caption.fitted import load_fitted

    out = Output(as_json)
    page = HtmlPage(html, overwrite, out)
    fitted = load_fitted(run, device=device)
    explanation = fitted.explain(given, **searching(beams, length_penalty, coverage_penalty))
    page.write(lambda: explanation.html)
    out.text.print(explanation.text)
    for word in explanation.words:
        out.text.print(f"  {word.text:<14} {word.probability:>7.2%}  looked most at {word.most_at}")
    out.result(explanation.to_dict() | page.result)
