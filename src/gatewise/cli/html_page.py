"""The HTML page that a command writes beside what it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gatewise.cli.output import Output
from gatewise.files import check_target, new_file

Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write one self-contained HTML page.")]


class HtmlPage:
    """A page to be written, where one was asked for.

    Raises:
        GatewiseError: it cannot be written; this is known before any work is done for it.
    """

    def __init__(self, path: Path | None, overwrite: bool, out: Output):
        if path is not None:
            check_target(path, overwrite)
        self._path, self._overwrite, self._out = path, overwrite, out

    def write(self, html: Callable[[], str]) -> None:
        """Write it, before anything is printed: a pipe that closes early must not cost the page."""
        if self._path is None:
            return
        with new_file(self._path, overwrite=self._overwrite) as stream:
            stream.write(html())
        self._out.notes.print(f"wrote {self._path}")

    @property
    def result(self) -> dict[str, str]:
        """What the JSON object says of it."""
        return {} if self._path is None else {"html": str(self._path)}
