"""Comparisons of tensors with the oracle's arrays: element by element in float64, in norm below it."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

VALUES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.6e-2}  # relative L2
GRADIENTS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2}
ENOUGH = 32  # numbers from which on their error is no matter of luck
ENOUGH_OF_A_TWIN = 100  # the same for the ratio of two errors


def array(tensor: Tensor) -> np.ndarray:
    """A tensor as a float64 array."""
    return tensor.detach().to(torch.float64).cpu().numpy()


def arrays(tensors):
    """Tensors (or None) as a list of float64 arrays (or None)."""
    return [None if t is None else array(t) for t in tensors]


def rms(company: Iterable[np.ndarray | None]) -> float:
    """Root mean square over all elements of several arrays: the size of the things computed together."""
    flat = np.concatenate([np.ravel(a) for a in company if a is not None])
    return float(np.sqrt(np.mean(flat**2))) if flat.size else 0.0


def relative_l2(got: np.ndarray, expected: np.ndarray, size: float = 0.0) -> float:
    """|got - expected| / |expected| in the Euclidean norm; 0 where both are zero.

    `size` bounds the size of an element in the denominator from below: the rounding error of a lone number that
    lies near zero by chance is measured against the numbers that it was computed from.
    """
    error = np.linalg.norm(got - expected)
    norm = max(np.linalg.norm(expected), size * np.sqrt(expected.size))
    return 0.0 if error == 0 else float(error / norm) if norm > 0 else float("inf")


def _same_shape(got: Tensor, expected: np.ndarray, name: str) -> None:
    assert tuple(got.shape) == expected.shape, f"{name} is {tuple(got.shape)}, expected {expected.shape}"


def assert_values(got: Tensor, expected: np.ndarray, name: str, size: float = 0.0) -> None:
    """float64: every element to 1e-12; below: relative L2 within VALUES (see `relative_l2` for `size`)."""
    _same_shape(got, expected, name)
    if got.dtype == torch.float64:
        np.testing.assert_allclose(array(got), expected, rtol=1e-12, atol=1e-12, err_msg=name)
    else:
        error = relative_l2(array(got), expected, size)
        assert error <= VALUES[got.dtype], f"{name}: relative error {error:.2e}"


def assert_gradient(got: Tensor, expected: np.ndarray, name: str, size: float = 0.0) -> None:
    """Relative L2 within GRADIENTS, in float64 of this tensor alone; a zero gradient must be exactly zero there."""
    _same_shape(got, expected, name)
    error = relative_l2(array(got), expected, 0.0 if got.dtype == torch.float64 else size)
    assert error <= GRADIENTS[got.dtype], f"gradient of {name}: relative error {error:.2e}"


def assert_as_near(
    got: dict[str, Tensor], twin: dict[str, Tensor], expected: dict[str, np.ndarray], factor: float
) -> None:
    """|got - expected| <= factor |twin - expected| + ε |expected|, of each tensor and of all together.

    `twin` is the same in the same dtype from plain PyTorch. Fewer than ENOUGH_OF_A_TWIN numbers are judged in
    company only, and nothing is said of so few in all: the twin may have them exactly right by luck.
    """
    rows = []
    for name, tensor in got.items():
        wanted, eps = expected[name], torch.finfo(twin[name].dtype).eps
        off = [np.linalg.norm(array(t) - wanted) for t in (tensor, twin[name])]
        rows.append([wanted.size, *off, eps * np.linalg.norm(wanted)])
    table = np.array(rows)  # [tensors, 4]
    together = [table[:, 0].sum(), *np.linalg.norm(table[:, 1:], axis=0)]
    for name, (numbers, error, of_twin, rounding) in zip(
        [*got, "all together"], [*rows, together], strict=True
    ):
        bound = factor * of_twin + rounding
        assert numbers < ENOUGH_OF_A_TWIN or error <= bound, (
            f"{name}: {error:.3e} off; {bound:.3e} is allowed"
        )


def assert_in_company(
    got: dict[str, Tensor], expected: dict[str, np.ndarray], caps: dict[torch.dtype, float]
) -> None:
    """Relative L2 of each tensor and of all together within `caps`, by the first one's dtype, one below float64.

    Fewer than ENOUGH numbers are judged in company only, and nothing is said of so few in all: of arithmetic that
    rounds every intermediate result, the error of a few numbers is a matter of luck.
    """
    cap = caps[next(iter(got.values())).dtype]
    joined = [np.concatenate([np.ravel(a) for a in arrays]) for arrays in (
        [array(t) for t in got.values()], [expected[name] for name in got],
    )]  # fmt: skip
    pairs = {name: (array(t), expected[name]) for name, t in got.items()} | {"all together": tuple(joined)}
    for name, (found, wanted) in pairs.items():
        assert found.shape == wanted.shape, f"{name} is {found.shape}, expected {wanted.shape}"
        error = relative_l2(found, wanted, rms([joined[1]]))
        assert found.size < ENOUGH or error <= cap, f"{name}: relative error {error:.2e}"


def assert_same(got: Tensor, expected: Tensor, name: str = "", tolerance: float = 1e-12) -> None:
    """Same shape and dtype, and every element within `tolerance`, absolute and relative."""
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, msg=lambda m: f"{name}: {m}")
