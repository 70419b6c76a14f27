"""The commands of the translate task."""

from gatewise.cli.translate.compare import compare
from gatewise.cli.translate.evaluate import evaluate
from gatewise.cli.translate.explain import explain
from gatewise.cli.translate.predict import predict
from gatewise.cli.translate.train import train

__all__ = ["compare", "evaluate", "explain", "predict", "train"]
