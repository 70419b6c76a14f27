"""Gatewise: recurrent networks that can be seen through."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gatewise import memory as memory
    from gatewise.cells import GRUCell, LSTMCell, RNNCell
    from gatewise.errors import DataError, GatewiseError, RunError, UsageError
    from gatewise.interop import from_torch
    from gatewise.kernels import backend
    from gatewise.layers import GRU, LSTM, RNN, Stack, explain_backend
    from gatewise.memory import Trace, intervene, record
    from gatewise.reports.explorer import Exploration, explore
    from gatewise.reports.report import Report, report
    from gatewise.tasks.classify import Classifier, Explanation, load

# Where each public name lives; imported on first use, so that the command line answers before torch has loaded.
_HOMES = {
    "Classifier": "gatewise.tasks.classify",
    "DataError": "gatewise.errors",
    "Explanation": "gatewise.tasks.classify",
    "Exploration": "gatewise.reports.explorer",
    "GRU": "gatewise.layers",
    "GRUCell": "gatewise.cells",
    "GatewiseError": "gatewise.errors",
    "LSTM": "gatewise.layers",
    "LSTMCell": "gatewise.cells",
    "RNN": "gatewise.layers",
    "RNNCell": "gatewise.cells",
    "Report": "gatewise.reports.report",
    "RunError": "gatewise.errors",
    "Stack": "gatewise.layers",
    "Trace": "gatewise.memory",
    "UsageError": "gatewise.errors",
    "backend": "gatewise.kernels",
    "explain_backend": "gatewise.layers",
    "explore": "gatewise.reports.explorer",
    "from_torch": "gatewise.interop",
    "intervene": "gatewise.memory",
    "load": "gatewise.tasks.classify",
    "record": "gatewise.memory",
    "report": "gatewise.reports.report",
}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Classifier",
    "DataError",
    "Explanation",
    "Exploration",
    "GRUCell",
    "GatewiseError",
    "LSTMCell",
    "RNNCell",
    "Report",
    "RunError",
    "Stack",
    "Trace",
    "UsageError",
    "backend",
    "explain_backend",
    "explore",
    "from_torch",
    "intervene",
    "load",
    "memory",
    "record",
    "report",
]


def __getattr__(name: str) -> Any:
    if name == "memory":
        return import_module("gatewise.memory")
    if name not in _HOMES:
        raise AttributeError(f"module 'gatewise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
