"""Fixtures of the contract: the device of a test, and which of its cases run."""

import os

import pytest
import torch

from gatewise.kernels import native

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic sums on a GPU


@pytest.fixture
def only(request):
    """The number of the one case to run, or None."""
    return request.config.getoption("--case")


@pytest.fixture
def needs():
    """Skip, by name, what this machine has not."""

    def skip_without(backend, device="cpu"):
        if backend == "native" and not native.available():
            pytest.skip(f"no native kernels: {native.why_missing()}")
        if device == "cuda" and not torch.cuda.is_available():
            pytest.skip("no CUDA device")

    return skip_without
