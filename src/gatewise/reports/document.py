"""A page that is a value: to be saved, or to show itself in a notebook."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path

from gatewise.errors import GatewiseError
from gatewise.files import new_file


class Document:
    """Something that is one HTML page; in a notebook it shows itself."""

    @cached_property
    def html(self) -> str:
        """One self-contained HTML page: no network, no other file."""
        return self._render()

    def _render(self) -> str:
        raise NotImplementedError

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the page to a file, whole or not at all.

        Raises:
            GatewiseError: the file exists and `overwrite` is False, is a folder, or cannot be written.
        """
        target = Path(path)
        if target.is_file() and not overwrite:
            raise GatewiseError(f"{path}: exists; name another file, or pass overwrite=True")
        with new_file(target, overwrite=overwrite) as stream:
            stream.write(self.html)
        return target

    def _repr_html_(self) -> str:
        # A page of its own inside the notebook's: neither's style or script reaches the other.
        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts allow-downloads" '
            'style="width: 100%; height: 50rem; border: 0"></iframe>'
        )
