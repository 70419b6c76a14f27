"""Reports: what was found, for people to read; one page a file."""

from gatewise.reports.terminal import print_explanation

__all__ = ["print_explanation"]
