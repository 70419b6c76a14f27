"""The command line: one command a file, thin over the Python front door."""

from gatewise.cli.app import main, run

__all__ = ["main", "run"]
