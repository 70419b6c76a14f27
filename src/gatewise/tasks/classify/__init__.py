"""The classify recipe: texts or numeric sequences to one of several labels."""

from gatewise.tasks.classify.classifier import Classifier, load
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import Explanation
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.recipe import train_series, train_texts

__all__ = [
    "Classifier",
    "ClassifyConfig",
    "Explanation",
    "FittedClassifier",
    "load",
    "train_series",
    "train_texts",
]
