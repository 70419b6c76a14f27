"""`gatewise predict`: labels for one text, for a file, or for the lines of standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.files import check_target, new_file
from gatewise.cli.options import Device, IdColumn, Overwrite, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.reading import columns_for, is_file, read_unlabelled, standard_input
from gatewise.cli.rows import free_names, write_tsv, writer_for
from gatewise.data.tables import open_table
from gatewise.errors import UsageError

if TYPE_CHECKING:
    from gatewise.tasks.classify.fitted import FittedClassifier

Rows = list[dict[str, Any]]


def predict(
    run: RunFolder,
    given: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A text, a file (.csv, .tsv, .jsonl, also .gz), or - for lines."
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write .csv, .tsv or .jsonl; else to standard output."),
    ] = None,
    all_labels: Annotated[
        bool, typer.Option("--all", help="The probability of every label, a column each.")
    ] = False,
    text: TextColumn = None,
    id: IdColumn = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Predict labels. A file keeps all its columns and gets `label` and `probability`.

    Where a column of that name is there already, ours is called `predicted_label` and so on.

    One text: [bold]gatewise predict runs/reviews "What a film!"[/bold]

    A file: [bold]gatewise predict runs/reviews new.csv --out answers.csv[/bold]

    Lines: [bold]cat lines.txt | gatewise predict runs/reviews -[/bold]
    """
    from gatewise.tasks.classify.fitted import load_fitted

    out = Output(as_json)
    if target is not None:
        writer_for(target)
        check_target(target, overwrite)
    fitted = load_fitted(run, device=device)
    if is_file(given):
        columns, rows = _table(fitted, Path(given), {"text": text, "id": id}, all_labels, out)
    elif target is not None:
        raise UsageError(
            "--out needs a file as INPUT, and was given a text"
            if given != "-"
            else "--out and - exclude each other"
        )
    elif given == "-":
        _lines(fitted, all_labels, out)
        return
    else:
        columns, rows = ["label", "probability"], _answers(fitted, [given], all_labels)
        _say(rows[0], out)
        out.result({"text": given} | rows[0])
        return
    _deliver(columns, rows, target, overwrite, out)


def _answers(fitted: FittedClassifier, inputs: Sequence[Any], all_labels: bool) -> Rows:
    """A row an input: label, its probability, and with `all_labels` that of each."""
    found = []
    for shares in fitted.probabilities(inputs):
        best = int(shares.argmax())
        row: dict[str, Any] = {"label": fitted.labels[best], "probability": round(float(shares[best]), 6)}
        if all_labels:
            row |= {
                f"probability_{label}": round(float(p), 6)
                for label, p in zip(fitted.labels, shares, strict=True)
            }
        found.append(row)
    return found


def _table(
    fitted: FittedClassifier, path: Path, given: dict[str, str | None], all_labels: bool, out: Output
) -> tuple[list[str], Rows]:
    """The rows of a file with the answers beside them; of numeric sequences, one row a sequence."""
    config = columns_for(path, fitted.config, given)
    data = read_unlabelled(path, config)
    answers = _answers(fitted, fitted.encoder.inputs(data), all_labels)
    if config.features:
        kept: Rows = [{config.id: name} for name in data.ids]
        columns = [config.id]
    elif path.is_dir():
        kept, columns = [{"id": name} for name in data.ids], ["id"]
    else:
        table = open_table(path)
        kept, columns = [dict(row.values) for row in table.rows], table.columns
    names = free_names(list(answers[0]), columns)
    if any(new != name for name, new in names.items()):
        out.notes.print(f"note: the predictions stand in {', '.join(names.values())}")
    rows = [
        row | {names[name]: value for name, value in answer.items()}
        for row, answer in zip(kept, answers, strict=True)
    ]
    return [*columns, *names.values()], rows


def _lines(fitted: FittedClassifier, all_labels: bool, out: Output) -> None:
    """Answer each line of standard input at once: label, probability and text, with tabs between."""
    found = []
    for number, line in standard_input():
        (row,) = _answers(fitted, [line], all_labels)
        if out.as_json:
            found.append({"line": number, "text": line} | row)
        else:
            print(*row.values(), line.replace("\t", " "), sep="\t", flush=True)
    out.result({"predictions": found})


def _say(row: dict[str, Any], out: Output) -> None:
    out.text.print(f"{row['label']} ({row['probability']:.1%})")
    for name, value in row.items():
        if name.startswith("probability_"):
            out.text.print(f"  {name.removeprefix('probability_')} {value:.1%}")


def _deliver(columns: list[str], rows: Rows, target: Path | None, overwrite: bool, out: Output) -> None:
    if target is not None:
        with new_file(target, overwrite=overwrite) as stream:
            writer_for(target)(stream, columns, rows)
        out.notes.print(f"wrote {len(rows):,} rows to {target}")
        out.result({"rows": len(rows), "out": str(target), "columns": columns})
    elif out.as_json:
        out.result({"predictions": rows})
    else:
        write_tsv(sys.stdout, columns, rows)
