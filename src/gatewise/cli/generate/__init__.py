"""The commands of the generate task."""

from gatewise.cli.generate.compare import compare
from gatewise.cli.generate.evaluate import evaluate
from gatewise.cli.generate.explain import explain
from gatewise.cli.generate.generate import generate
from gatewise.cli.generate.predict import predict
from gatewise.cli.generate.train import train
from gatewise.cli.generate.units import units

__all__ = ["compare", "evaluate", "explain", "generate", "predict", "train", "units"]
