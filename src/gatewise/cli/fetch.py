"""`gatewise fetch`: a public data set from its official address, checked and unpacked safely."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from gatewise.cli.output import JsonFlag, Output
from gatewise.data.catalogue import CATALOGUE


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(CATALOGUE)}.")],
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="It goes into FOLDER/NAME.")] = Path(
        "data"
    ),
    address: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Take the same files from another address.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a public data set: its licence is shown, every file is checked, and nothing half-done is left.

    Example: [bold]gatewise fetch imdb --out data[/bold]
    """
    from gatewise.data.fetch import fetch as fetch_by_name

    out = Output(as_json)
    if name in CATALOGUE:
        dataset = CATALOGUE[name]
        out.text.print(f"{dataset.title}\nlicence: {dataset.licence}\nfrom: {address or dataset.address}")
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out.notes, transient=True, disable=not out.notes.is_terminal) as bar:
        task = bar.add_task("", total=None)
        place = fetch_by_name(
            name,
            folder,
            base_urls={name: address} if address else None,
            progress=lambda received, expected: bar.update(task, completed=received, total=expected),
        )
    out.text.print(f"it is in {place}")
    out.result({"name": name, "folder": str(place)} | CATALOGUE[name].record())
