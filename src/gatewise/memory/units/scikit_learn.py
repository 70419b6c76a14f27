"""scikit-learn where it is installed: probes and nearest neighbours are its work."""

from importlib import import_module
from types import ModuleType

from gatewise.errors import UsageError


def sklearn(module: str, what: str) -> ModuleType:
    """A module of scikit-learn.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "sklearn":
            raise
        raise UsageError(
            f"{what} needs scikit-learn, which is not installed: pip install 'gatewise[probes]'"
        ) from None
