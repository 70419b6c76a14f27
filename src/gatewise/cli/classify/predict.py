"""`gatewise predict`: labels for one text, for a file, or for the lines of standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.classify.answers import Row, answer, answers, unanswered
from gatewise.cli.classify.reading import columns_for, read_unlabelled
from gatewise.cli.given import is_file, standard_input
from gatewise.cli.options import Device, IdColumn, Overwrite, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.rows import free_names, write_tsv, writer_for
from gatewise.data.tables import open_table
from gatewise.errors import UsageError
from gatewise.files import check_target, new_file

if TYPE_CHECKING:
    from gatewise.tasks.classify.fitted import FittedClassifier


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
    check_call(given, target, overwrite)
    fitted = load_fitted(run, device=device)
    if is_file(given):
        columns, rows = _table(fitted, Path(given), {"text": text, "id": id}, all_labels, out)
        _deliver(columns, rows, target, overwrite, out)
    elif fitted.config.features:
        raise UsageError("this run reads numeric sequences: name a table as INPUT")
    elif given == "-":
        _lines(fitted, all_labels, out)
    else:
        row = answer(fitted, given, all_labels)
        _say(row, out)
        out.result({"text": given} | row)


def check_call(given: str, target: Path | None, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before anything is loaded."""
    if target is None:
        return
    if not is_file(given):
        raise UsageError(
            "--out needs a file as INPUT; what was given is " + ("-" if given == "-" else "a text")
        )
    writer_for(target)
    check_target(target, overwrite)


def _table(
    fitted: FittedClassifier, path: Path, given: dict[str, str | None], all_labels: bool, out: Output
) -> tuple[list[str], list[Row]]:
    """The rows of a file with the answers beside them; of numeric sequences, one row a sequence."""
    config = columns_for(path, fitted.config, given)
    data = read_unlabelled(path, config)
    found = answers(fitted, fitted.encoder.inputs(data), all_labels)
    if config.features or path.is_dir():
        name = config.id or "id"
        columns, kept = [name], [{name: one} for one in data.ids]
        places = [f"{path}, id {one}" for one in data.ids]
    else:
        table = open_table(path)
        read = list(table.rows)
        columns, kept = table.columns, [dict(row.values) for row in read]
        places = [f"{path}, line {row.line}" for row in read]
    without = unanswered(found, places, str(path))
    names = free_names(list(found[0]), columns)
    moved = [new for name, new in names.items() if new != name]
    for note in (without, f"the predictions stand in {', '.join(names.values())}" if moved else None):
        if note:
            out.notes.print(f"note: {note}")
    rows = [
        row | {names[name]: row_answer[name] for name in names}
        for row, row_answer in zip(kept, found, strict=True)
    ]
    return [*columns, *names.values()], rows


def _lines(fitted: FittedClassifier, all_labels: bool, out: Output) -> None:
    """Answer each line of standard input at once: label, probability and text, with tabs between."""
    found, without = [], 0
    for number, line in standard_input():
        (row,) = answers(fitted, [line], all_labels)
        without += row["label"] == ""
        if out.as_json:
            found.append({"line": number, "text": line} | row)
        else:
            print(*row.values(), line.replace("\t", " "), sep="\t", flush=True)
    if without:
        out.notes.print(f"note: {without:,} lines have no word that the model knows; they get no label")
    out.result({"predictions": found})


def _say(row: Row, out: Output) -> None:
    out.text.print(f"{row['label']} ({row['probability']:.1%})")
    for name, value in row.items():
        if name.startswith("probability_"):
            out.text.print(f"  {name.removeprefix('probability_')} {value:.1%}")


def _deliver(columns: list[str], rows: list[Row], target: Path | None, overwrite: bool, out: Output) -> None:
    if target is not None:
        with new_file(target, overwrite=overwrite) as stream:
            writer_for(target)(stream, columns, rows)
        out.notes.print(f"wrote {len(rows):,} rows to {target}")
        out.result({"rows": len(rows), "out": str(target), "columns": columns})
    elif out.as_json:
        out.result({"predictions": rows})
    else:
        write_tsv(sys.stdout, columns, rows)
