"""A list of identities, each with its own arithmetic, and how far the package is from them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from identity_cases import KINDS, Case, case

Pair = tuple[Any, ...]
"""What the package says, what the identity asks for and, where that is a sum whose terms cancel, the terms' size."""

BOUNDS = {torch.float64: 1e-12, torch.float32: 2e-6}


@dataclass(frozen=True)
class Identity:
    """A statement of the mathematics that is measured on models.

    Attributes:
        part: of the mathematics that it stands in.
        name, formula: what it says.
        computed: the names in the package that compute it.
        also: where else it is tested, "file::test".
        kinds: of models, of `KINDS`.
        float32: the largest residual that float32 may have.
    """

    part: str
    name: str
    formula: str
    computed: str
    also: tuple[str, ...]
    kinds: tuple[str, ...]
    check: Callable[[Case], Iterable[Pair]]
    float32: float

    def bound(self, dtype: torch.dtype) -> float:
        return self.float32 if dtype == torch.float32 else BOUNDS[dtype]

    def residual(self, kind: str, trained: bool, dtype: torch.dtype) -> float:
        """The largest difference, as a share of the largest value that the identity asks for, or of its terms."""
        pairs = list(self.check(case(kind, trained, dtype)))
        assert pairs, f"{self.name} compares nothing on {kind}"
        return max(gap(*pair) for pair in pairs)


PARTS = (
    "The cells and their gates",
    "What is in memory",
    "From memory to an answer",
    "Gradients through time",
)
IDENTITIES: dict[str, Identity] = {}


def identity(
    part: str,
    name: str,
    formula: str,
    computed: str,
    kinds: Iterable[str],
    *,
    also: Iterable[str] = (),
    float32: float = BOUNDS[torch.float32],
) -> Callable[[Callable[[Case], Iterable[Pair]]], Callable[[Case], Iterable[Pair]]]:
    """Put a check on the list."""

    def put(check: Callable[[Case], Iterable[Pair]]) -> Callable[[Case], Iterable[Pair]]:
        assert name not in IDENTITIES, name
        IDENTITIES[name] = Identity(part, name, formula, computed, tuple(also), tuple(kinds), check, float32)
        return check

    return put


def kinds(*, without: Iterable[str] = (), start: str = "") -> tuple[str, ...]:
    """The kinds whose name, `torch.nn.` apart, begins with `start`."""
    return tuple(
        name for name in KINDS if name.removeprefix("torch.nn.").startswith(start) and name not in without
    )


def gap(got: Any, expected: Any, size: float | None = None) -> float:
    got, expected = _array(got), _array(expected)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    if got.size == 0:
        return 0.0
    size = float(np.abs(expected).max()) if size is None else size
    error = float(np.abs(got - expected).max()) / (size if size > 0 else 1.0)
    return error if math.isfinite(error) else math.inf


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().double().numpy()
    return np.asarray(value, dtype=np.float64)
