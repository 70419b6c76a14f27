"""The commands of the caption task."""

from gatewise.cli.caption.compare import compare
from gatewise.cli.caption.evaluate import evaluate
from gatewise.cli.caption.explain import explain
from gatewise.cli.caption.predict import predict
from gatewise.cli.caption.train import train

__all__ = ["compare", "evaluate", "explain", "predict", "train"]
