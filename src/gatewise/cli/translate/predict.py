"""`gatewise predict` of a translator: the target of one text, of a file, or of the lines of standard input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.given import is_file, standard_input
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching
from gatewise.errors import DataError, UsageError
from gatewise.files import check_target, new_file

if TYPE_CHECKING:
    from gatewise.tasks.translate.fitted import Translation


def predict(
    run: RunFolder,
    given: Annotated[
        str, typer.Argument(metavar="INPUT", help="A text, a file (a table or lines), or - for lines.")
    ],
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write a line each here; else to standard output."),
    ] = None,
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Write the target of each source, a line each.

    One text: [bold]gatewise predict runs/de-en "Ein Hund läuft durch den Schnee."[/bold]

    A file: [bold]gatewise predict runs/de-en test.de --out test.out[/bold]
    """
    from gatewise.data.pairs import read_sources
    from gatewise.tasks.translate.encode import note_of_cut_sources
    from gatewise.tasks.translate.fitted import load_fitted

    out = Output(as_json)
    if target is not None:
        if not is_file(given):
            raise UsageError("--out needs a file as INPUT")
        check_target(target, overwrite)
    how = searching(beams, length_penalty, coverage_penalty)
    fitted = load_fitted(run, device=device)
    if given == "-":
        found = []
        for number, line in standard_input():
            (one,) = fitted.translate([line], **how)
            if one.unread:
                out.notes.print(f"note: line {number:,}: {_unread(one)}")
            if out.as_json:
                found.append({"line": number} | _values(line, one))
            else:
                print(on_one_line(one.text), flush=True)
        out.result({"predictions": found})
    elif is_file(given):
        sources, _ = read_sources(given, source=fitted.config.source or None)
        answers = fitted.translate(sources, **how)
        empty = sum(not source for source in sources)
        if empty:
            out.notes.print(f"note: {empty:,} of {len(sources):,} sources are empty; so are their targets")
        cut = sum(one.unread > 0 for one in answers)
        if cut:
            note = note_of_cut_sources(cut, len(sources), fitted.encoder.max_length)
            out.notes.print(f"note: {note}")
        if target is not None:
            with new_file(target, overwrite=overwrite) as stream:
                stream.writelines(f"{on_one_line(one.text)}\n" for one in answers)
            out.notes.print(f"wrote {len(answers):,} lines to {target}")
            out.result({"lines": len(answers), "out": str(target)})
        else:
            for one in answers:
                out.text.print(on_one_line(one.text))
            rows = zip(sources, answers, strict=True)
            out.result({"predictions": [_values(source, one) for source, one in rows]})
    else:
        (one,) = fitted.translate([given], **how)
        if not one.source_tokens:
            raise DataError("the text is empty")
        if one.unread:
            out.notes.print(f"note: {_unread(one)}")
        out.text.print(one.text)
        out.result(_values(given, one) | {"tokens": one.tokens})


def _unread(one: Translation) -> str:
    from gatewise.tasks.translate.encode import note_of_cut_source

    read = len(one.source_tokens)
    return note_of_cut_source(read + one.unread, read)


def _values(source: str, one: Translation) -> dict[str, Any]:
    """An answer as plain values; `unread` are tokens of the source beyond the run's max_length."""
    return {"source": source, "target": one.text, "score": one.score, "unread": one.unread}


def on_one_line(target: str) -> str:
    """A target that was learned with line ends, without them: line for line it must stay beside its source."""
    return " ".join(target.splitlines())
