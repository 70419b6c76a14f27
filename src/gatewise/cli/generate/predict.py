"""`gatewise predict` of a language model: how probable it finds a text, or each line of a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewise.cli.given import is_file, standard_input
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.rows import write_tsv, writer_for
from gatewise.errors import UsageError
from gatewise.files import check_target, new_file

if TYPE_CHECKING:
    from gatewise.tasks.generate.fitted import FittedLanguageModel
    from gatewise.tasks.generate.scoring import TextScore

COLUMNS = ("log_probability", "tokens", "perplexity", "text")


def predict(
    run: RunFolder,
    given: Annotated[
        str, typer.Argument(metavar="INPUT", help="A text, a file with one on each line, or - for lines.")
    ],
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write .csv, .tsv or .jsonl; else to standard output."),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """The log-probability of texts, natural; of a single text also of each of its tokens.

    Every text stands for itself, as if a line began with it.

    A text: [bold]gatewise predict runs/book "It was a dark night."[/bold]

    Lines: [bold]gatewise predict runs/book lines.txt --out scores.csv[/bold]
    """
    from gatewise.data.lines import read_lines
    from gatewise.tasks.generate.fitted import load_fitted
    from gatewise.tasks.generate.scoring import score_text

    out, lines = Output(as_json), given == "-" or is_file(given)
    if target is not None:
        if not lines:
            raise UsageError("--out needs a file or - as INPUT; what was given is a text")
        writer_for(target)
        check_target(target, overwrite)
    fitted = load_fitted(run, device=device)
    if lines:
        numbered = standard_input() if given == "-" else read_lines(Path(given))
        rows = _scored(fitted, numbered, "standard input" if given == "-" else given, out)
        _deliver(rows, target, overwrite, out)
    else:
        found = score_text(fitted, given)
        _print(found, out)
        out.result({"text": given} | found.figures() | {"by_token": [one._asdict() for one in found.tokens]})


def _scored(
    fitted: FittedLanguageModel, lines: Iterable[tuple[int, str]], source: str, out: Output
) -> list[dict[str, Any]]:
    """A row for each line; one without tokens has no figures."""
    from gatewise.tasks.generate.scoring import score_text

    rows, empty = [], 0
    for number, line in lines:
        text = line.rstrip("\r\n")
        if not len(fitted.tokens(text)):
            empty += 1
            rows.append({"text": text})
            continue
        try:
            found = score_text(fitted, text)
        except UsageError as error:
            raise UsageError(f"{source}, line {number}: {error}") from None
        for note in found.notes:
            out.notes.print(f"note: line {number}: {note}")
        rows.append(found.figures() | {"text": text})
    if empty:
        out.notes.print(f"note: {empty:,} of {len(rows):,} lines are empty; they get no figures")
    return rows


def _deliver(rows: list[dict[str, Any]], target: Path | None, overwrite: bool, out: Output) -> None:
    if target is not None:
        with new_file(target, overwrite=overwrite) as stream:
            writer_for(target)(stream, COLUMNS, rows)
        out.notes.print(f"wrote {len(rows):,} rows to {target}")
        out.result({"rows": len(rows), "out": str(target), "columns": list(COLUMNS)})
    elif out.as_json:
        out.result({"predictions": rows})
    else:
        write_tsv(sys.stdout, COLUMNS, rows)


def _print(found: TextScore, out: Output) -> None:
    figures = found.figures()
    perplexity = "" if figures["perplexity"] is None else f", perplexity {figures['perplexity']:.4g}"
    for note in found.notes:
        out.notes.print(f"note: {note}")
    out.text.print(
        f"log-probability {figures['log_probability']:.4f}, {figures['tokens']:,} tokens{perplexity}"
    )
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("token", no_wrap=True)
    for name in ("log p", "p", "rank"):
        table.add_column(name, justify="right")
    table.add_column("likeliest there", no_wrap=True)
    for one in found.tokens:
        table.add_row(
            Text(repr(one.token)), f"{one.log_probability:.4f}", f"{math.exp(one.log_probability):.4f}",
            f"{one.rank:,}", Text(f"{one.likeliest!r} {one.probability:.4f}"),
        )  # fmt: skip
    out.text.print(table)
