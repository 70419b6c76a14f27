"""`gatewise compare`."""

from __future__ import annotations

from gatewise.cli.output import JsonFlag


def compare(as_json: JsonFlag = False) -> None:
    """Compare."""
