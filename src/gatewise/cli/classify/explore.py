"""`gatewise explore`: every gate and state of two texts, or of two runs on one text, side by side on one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.classify.one_input import one_input
from gatewise.cli.classify.reading import columns_for, read_unlabelled
from gatewise.cli.options import Device, IdColumn, Overwrite, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError
from gatewise.files import check_target


def explore(
    context: typer.Context,
    run: RunFolder,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="A text, or a file together with --row.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[INPUT2]", help="A second text, shown beside the first.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page, one self-contained HTML file.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option("--with", metavar="RUN", help="Show the same input in this run beside it.")
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="The row or sequence of a file; twice for two side by side."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Texts among whose states the nearest are looked for.")
    ] = None,
    corpus_texts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of the corpus at most, evenly spaced over it.")
    ] = 300,
    text: TextColumn = None,
    id: IdColumn = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Make a page of every gate and state of every unit at every word, for two texts or two runs side by side.

    Rows can be sorted by time constant, by contribution to the answer and by value. Marking a range of words finds the
    words, on both sides and in a corpus, at which the state was nearest to the mean of the range.

    Example: [bold]gatewise explore runs/reviews "Not bad." "Not good." --corpus test.csv --out page.html[/bold]
    """
    from gatewise.tasks.classify.explored import Given, explore_inputs
    from gatewise.tasks.classify.fitted import load_fitted

    out = Output(as_json)
    if html is None:
        raise UsageError("name the page that is to be written: --out FILE")
    inputs = _inputs(given, other, row or [], beside)
    check_target(html, overwrite)
    fitted = load_fitted(run, device=device)
    columns = {"text": text, "id": id}
    sides = [Given(fitted, *one_input(fitted, one, name, columns), name or "") for one, name in inputs]
    if beside is not None:
        second = load_fitted(beside, device=device)
        x, times = one_input(second, *inputs[0], columns)
        sides = [sides[0]._replace(name=run.name), Given(second, x, times, beside.name)]
    data = None if corpus is None else read_unlabelled(corpus, columns_for(corpus, fitted.config, columns))
    command = shlex.join(["gatewise", *context.obj])
    made = explore_inputs(sides, corpus=data, most_texts=corpus_texts, command=command)
    made.save(html, overwrite)
    out.notes.print(f"wrote {html}")
    shown = [{"title": side.title, "note": side.note, "steps": len(side.steps)} for side in made.sides]
    texts, steps = (
        (0, 0) if made.corpus is None else (len(made.corpus.texts), sum(map(len, made.corpus.texts)))
    )
    out.result({"html": str(html), "sides": shown, "corpus": {"texts": texts, "steps": steps}})


def _inputs(
    given: str, other: str | None, rows: list[str], beside: Path | None
) -> list[tuple[str, str | None]]:
    """One or two inputs, each with its row of a file or None."""
    if other is not None and rows:
        raise UsageError(
            "--row names rows of one file, so there is no second INPUT; give --row twice for two sides"
        )
    texts = [given] if other is None else [given, other]
    found: list[tuple[str, str | None]] = [(given, name) for name in rows] or [(one, None) for one in texts]
    if len(found) > 2 or (len(found) == 2 and beside is not None):
        asked = len(found) + (beside is not None)
        raise UsageError(f"a page has two sides, and this call asks for {asked}: inputs and --with together")
    return found
