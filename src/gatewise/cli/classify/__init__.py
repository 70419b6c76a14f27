"""The commands of the classify task."""

from gatewise.cli.classify.compare import compare
from gatewise.cli.classify.evaluate import evaluate
from gatewise.cli.classify.explain import explain
from gatewise.cli.classify.explore import explore
from gatewise.cli.classify.faithfulness import faithfulness
from gatewise.cli.classify.predict import predict
from gatewise.cli.classify.train import train
from gatewise.cli.classify.units import units

__all__ = ["compare", "evaluate", "explain", "explore", "faithfulness", "predict", "train", "units"]
