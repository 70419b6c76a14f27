"""Conditions that a call must not notice: the instruction set, the number of threads, what memory held before."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gatewise.kernels import native

M_PERTURB = -6  # of glibc's mallopt
ALLOCATED = 0x7F  # in every byte of fresh memory: 3.4e38 as float32, 1.4e306 as float64


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Run the native kernels of this instruction set inside the block."""
    before = native.isa()
    assert native._module().use(name)
    try:
        yield
    finally:
        native._module().use(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run on this many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Fresh tensors hold NaN (of integers the largest), and what C++ asks for by itself absurdly large numbers."""
    libc = ctypes.CDLL(None)
    perturb = getattr(libc, "mallopt", None)  # glibc has it, others have not
    assert torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    if perturb is not None:
        perturb(M_PERTURB, ALLOCATED ^ 0xFF)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        if perturb is not None:
            perturb(M_PERTURB, 0)
