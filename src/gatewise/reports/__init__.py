"""Reports: what was found, for people to read; one page a file."""

from typing import Any

from gatewise.reports.terminal import print_explanation

__all__ = ["print_explanation", "render_html"]


def render_html(explanation: Any) -> str:
    """`explanation.to_html()`."""
    return explanation.to_html()
