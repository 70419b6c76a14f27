"""The classify recipe: texts or numeric sequences to one of several labels."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.tasks.classify.classifier import Classifier, load
    from gatewise.tasks.classify.config import ClassifyConfig
    from gatewise.tasks.classify.explanation import Explanation
    from gatewise.tasks.classify.fitted import FittedClassifier
    from gatewise.tasks.classify.recipe import train_series, train_texts

# Imported on first use, so that the options can be listed before torch has loaded.
_HOMES = {
    "Classifier": "classifier",
    "ClassifyConfig": "config",
    "Explanation": "explanation",
    "FittedClassifier": "fitted",
    "load": "classifier",
    "train_series": "recipe",
    "train_texts": "recipe",
}

__all__ = [
    "Classifier",
    "ClassifyConfig",
    "Explanation",
    "FittedClassifier",
    "load",
    "train_series",
    "train_texts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
