"""How a run was trained, and with which versions: the parts of `metrics.json` that every recipe writes."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn

from gatewise.training.options import Outcome


def trained(outcome: Outcome, network: nn.Module) -> dict[str, Any]:
    """The entry "training"."""
    return {
        "steps": outcome.steps,
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "stopped": outcome.stopped,
        "interrupted": outcome.stopped == "interrupted",
        "seconds": round(outcome.seconds, 3),
        "parameters": sum(p.numel() for p in network.parameters()),
        "device": str(next(network.parameters()).device),
        "threads": torch.get_num_threads(),
    }


def versions() -> dict[str, str]:
    """The entry "versions"."""
    return {
        "gatewise": version("gatewise"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
