"""What a machine has that matters for training: versions, processor, threads, GPU, compiler."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version
from typing import Any

import torch

from gatewise.kernels import native

PACKAGES = ("gatewise", "torch", "numpy", "safetensors", "tokenizers", "typer", "rich", "jinja2")
COMPILERS = ("c++", "g++", "clang++")


def surroundings() -> dict[str, Any]:
    """Facts by name, ready for JSON."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "onednn": torch.backends.mkldnn.is_available(),
        "onednn_bf16": _has_onednn_bf16(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "compiler": next((path for name in COMPILERS if (path := shutil.which(name))), None),
        "native_kernels": _native_kernels(),
    }


def _native_kernels() -> str:
    """Whether they run, on which instruction set; else what is missing and how to mend it."""
    if native.available():
        return f"yes ({native.isa()})"
    return (
        f"no: {native.why_missing()}; with g++ or clang++ installed, run "
        f"`python -m pip install --force-reinstall --no-deps --editable .` in Gatewise's folder"
    )


def _has_onednn_bf16() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
