"""The commands of the generate task."""

from gatewise.cli.generate.evaluate import evaluate
from gatewise.cli.generate.train import train

__all__ = ["evaluate", "train"]
