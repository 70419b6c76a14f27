"""Reports: what was found, for people to read; one page a file."""

from gatewise.reports.explanation import render_html
from gatewise.reports.terminal import print_explanation

__all__ = ["print_explanation", "render_html"]
