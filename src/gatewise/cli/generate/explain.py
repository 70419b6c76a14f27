"""`gatewise explain` of a language model: what it holds of a text, and what pushed the next token."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gatewise.cli.html_page import Html, HtmlPage
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output

if TYPE_CHECKING:
    from gatewise.tasks.generate.explanation import TextExplanation

ROWS = 20


def explain(
    context: typer.Context,
    run: RunFolder,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="A text.")],
    at: Annotated[
        int | None,
        typer.Option(metavar="N", help="Explain token N of the text; else what comes after all of it."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Explain this token; else the likeliest one.")
    ] = None,
    html: Html = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Show what a language model still holds of a text, and what pushed it to the next token.

    The push is toward the token and away from its strongest rival; all pushes, the initial state and the bias add up to
    the difference of their logits.

    Example: [bold]gatewise explain runs/book "It was a dark and stormy nigh" --html why.html[/bold]
    """
    from gatewise.tasks.generate.explanation import explain_text
    from gatewise.tasks.generate.fitted import load_fitted

    out = Output(as_json)
    page = HtmlPage(html, overwrite, out)
    fitted = load_fitted(run, device=device)
    command = shlex.join(["gatewise", *context.obj])
    found = explain_text(fitted, given, at=at, target=target, command=command)
    page.write(found.to_html)
    _print(found, out)
    out.result(found.to_dict() | page.result)


def _print(found: TextExplanation, out: Output) -> None:
    say = out.text.print
    expected = ", ".join(f"{one.token!r} {one.probability:.1%}" for one in found.candidates)
    say(f"explained: {found.target!r} ({found.probability:.1%}), against {found.rival!r} "
        f"({found.rival_probability:.1%})")  # fmt: skip
    say(f"likeliest: {expected}")
    for note in found.notes:
        say(f"note: {note}")
    if found.residual is None:
        return
    say(f"\nthe {found.unit}s that moved the answer most, of {len(found.tokens):,}")
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("#", found.unit, "held", "push"):
        table.add_column(name, justify="left" if name == found.unit else "right", no_wrap=True)
    strongest = sorted(range(len(found.push)), key=lambda k: -abs(found.push[k]))[:ROWS]
    for k in sorted(strongest):
        table.add_row(
            str(k + 1), Text(repr(found.tokens[k])), f"{found.held[k]:.1%}", f"{found.push[k]:+.3f}"
        )
    say(table)
    say(
        f"\n{sum(found.push):.4f} (pushes of all {found.unit}s) + {found.initial:.4f} (initial state) + "
        f"{found.bias:.4f} (bias) = {found.margin:.4f} (logit over its rival's); residual {found.residual:.1e}"
    )
