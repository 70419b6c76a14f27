"""`gatewise explain`: what each word wrote, what was kept of it, and how far it moved the answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.classify.one_input import one_input
from gatewise.cli.html_page import Html, HtmlPage
from gatewise.cli.options import Device, IdColumn, Overwrite, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError


def explain(
    context: typer.Context,
    run: RunFolder,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="A text, or a file together with --row.")],
    target: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Explain this label; else the model's answer.")
    ] = None,
    html: Html = None,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live",
            help="Whether the page runs the model itself, on texts that its reader types; if neither is given, up to "
            "4 MB of weights.",
            show_default=False,
        ),
    ] = None,
    row: Annotated[
        str | None, typer.Option(metavar="ID", help="The row or sequence of a file to explain.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Also show how the gradient fades in this run; may be repeated."),
    ] = None,
    text: TextColumn = None,
    id: IdColumn = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Show why a run answers as it does: which words it kept, whether that holds up, and what each held and pushed.

    Kept are the fewest words that alone keep the label at 90 % of its probability. Held is the share of the memory
    behind the answer that a word wrote; push is how far it moved the score. All pushes, the initial state and the bias
    add up to the score.

    Example: [bold]gatewise explain runs/reviews "There was hardly any boring moment." --html why.html[/bold]
    """
    from gatewise.reports import print_explanation
    from gatewise.tasks.classify.explanation import explain as explain_one
    from gatewise.tasks.classify.fitted import load_fitted

    out = Output(as_json)
    if live is not None and html is None:
        raise UsageError("--live and --no-live say what the page holds: name one with --html FILE")
    page = HtmlPage(html, overwrite, out)
    fitted = load_fitted(run, device=device)
    x, times = one_input(fitted, given, row, {"text": text, "id": id})
    others = [load_fitted(other, device=device) for other in beside or []]
    command = shlex.join(["gatewise", *context.obj])
    explanation = explain_one(fitted, x, target, times=times, beside=others, command=command)
    page.write(lambda: explanation.to_html(live))
    print_explanation(explanation, out.text)
    out.result(explanation.to_dict() | page.result)
