"""`gatewise predict` of a captioner: the sentence of a picture, a clip, or of each in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching
from gatewise.errors import DataError
from gatewise.files import check_target, is_folder, new_file

if TYPE_CHECKING:
    from gatewise.tasks.caption.fitted import FittedCaptioner


def predict(
    run: RunFolder,
    given: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="A picture, a folder of pictures, a clip, or a folder of clips."
        ),
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
    """Write the sentence of each picture or clip, of a folder with the name and a tab before it.

    One picture: [bold]gatewise predict runs/seen dog.jpg[/bold]

    A folder: [bold]gatewise predict runs/seen images --out sentences.tsv[/bold]
    """
    from gatewise.tasks.caption.fitted import load_fitted

    out = Output(as_json)
    if target is not None:
        check_target(target, overwrite)
    fitted = load_fitted(run, device=device)
    places, several = _places(given, fitted)
    found = fitted.describe(places, **searching(beams, length_penalty, coverage_penalty))
    lines = [
        f"{place.name}\t{one.text}" if several else one.text for place, one in zip(places, found, strict=True)
    ]
    values = [
        {"input": str(place), "text": one.text, "score": one.score, "tokens": one.tokens}
        for place, one in zip(places, found, strict=True)
    ]
    if target is not None:
        with new_file(target, overwrite=overwrite) as stream:
            stream.writelines(f"{line}\n" for line in lines)
        out.notes.print(f"wrote {len(lines):,} lines to {target}")
        out.result({"lines": len(lines), "out": str(target)})
        return
    for line in lines:
        out.text.print(line)
    out.result({"predictions": values} if several else values[0])


def _places(given: Path, fitted: FittedCaptioner) -> tuple[list[Path], bool]:
    """The pictures or clips that are meant, and whether it is a folder of them."""
    from gatewise.data.pictures import in_order, picture_files

    if not is_folder(given, DataError):
        return [given], False
    if not fitted.config.video:
        return picture_files(given), True
    clips = in_order([path for path in given.iterdir() if path.is_dir() and not path.name.startswith(".")])
    return (clips, True) if clips else ([given], False)
