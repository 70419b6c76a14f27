"""`gatewise units` of a language model: the units that follow quotes, brackets, lines and indentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gatewise.cli.html_page import HtmlPage
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output

if TYPE_CHECKING:
    from gatewise.tasks.generate.units import TextUnits


def units(
    run: RunFolder,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A text that the run was not trained on.")],
    state: Annotated[
        str | None,
        typer.Option(metavar="c|h", help="What is looked at; else c of an LSTM, h of the others."),
    ] = None,
    most: Annotated[int, typer.Option(metavar="N", help="Tokens to read.")] = 16_384,
    permutations: Annotated[int, typer.Option(metavar="N", help="Deals of the signals behind p.")] = 200,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the deals and of the probe's split.")] = 0,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page of texts coloured by these units.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Find the units of a language model that follow what the text itself gives: the place in the line, indentation,
    brackets, quotes, strings and comments.

    p is corrected for the number of units; R² is of linear probes on held-out pieces (needs scikit-learn).

    Example: [bold]gatewise units runs/book test.txt --html units.html[/bold]
    """
    from gatewise.tasks.generate.corpus import read_part
    from gatewise.tasks.generate.fitted import load_fitted
    from gatewise.tasks.generate.units import find_text_units

    out = Output(as_json)
    page = HtmlPage(html, overwrite, out)
    fitted = load_fitted(run, device=device)
    part = read_part(data, raw=fitted.raw, column=fitted.config.text)
    found = find_text_units(fitted, part, state=state, most=most, permutations=permutations, seed=seed)
    page.write(lambda: found.to_html(f"Units of {run.name}"))
    _print(found, out)
    out.result({"run": str(run)} | found.to_dict() | page.result)


def _print(found: TextUnits, out: Output) -> None:
    for note in found.notes:
        out.text.print(f"note: {note}")
    out.text.print(
        f"of {found.all_units:,} units ({found.state}, {found.tokens:,} tokens) these follow the text most closely:"
    )
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("signal", no_wrap=True)
    for name in ("layer", "unit", "correlation", "p", "R², one unit", "all units", "shuffled"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.units:
        table.add_row(
            one.signal, str(one.layer), str(one.unit), f"{one.correlation:+.3f}", f"{one.p:.4f}",
            *(f"{score:.3f}" if score is not None else "" for score in (one.one_unit, one.all_units, one.shuffled)),
        )  # fmt: skip
    out.text.print(table)
