"""Where a task computes."""

from __future__ import annotations

import torch

from gatewise.errors import UsageError


def pick_device(name: str) -> torch.device:
    """The device of an option: "auto" is cuda where there is one, else cpu.

    Raises:
        UsageError: "cuda" is asked for, and PyTorch sees none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', and PyTorch sees no CUDA device here")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
