"""Comparisons of tensors with the oracle's arrays: element by element in float64, in norm below it."""

import numpy as np
import torch
from torch import Tensor

VALUES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 1.6e-2}  # relative L2
GRADIENTS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-2}


def array(tensor: Tensor) -> np.ndarray:
    """A tensor as a float64 array."""
    return tensor.detach().to(torch.float64).cpu().numpy()


def arrays(tensors):
    """A named tuple of tensors (or None) as a list of float64 arrays (or None)."""
    return [None if t is None else array(t) for t in tensors]


def relative_l2(got: np.ndarray, expected: np.ndarray) -> float:
    """|got - expected| / |expected| in the Euclidean norm; 0 where both are zero."""
    error, size = np.linalg.norm(got - expected), np.linalg.norm(expected)
    return 0.0 if error == 0 else float(error / size) if size > 0 else float("inf")


def assert_values(got: Tensor, expected: np.ndarray, name: str) -> None:
    """float64: every element to 1e-12; below: relative L2 within VALUES."""
    assert tuple(got.shape) == expected.shape, (
        f"{name} has shape {tuple(got.shape)}, expected {expected.shape}"
    )
    if got.dtype == torch.float64:
        np.testing.assert_allclose(array(got), expected, rtol=1e-12, atol=1e-12, err_msg=name)
    else:
        assert relative_l2(array(got), expected) <= VALUES[got.dtype], name


def assert_gradient(got: Tensor, expected: np.ndarray, name: str) -> None:
    """Relative L2 within GRADIENTS; a zero gradient must be exactly zero."""
    assert tuple(got.shape) == expected.shape, (
        f"{name} has shape {tuple(got.shape)}, expected {expected.shape}"
    )
    error = relative_l2(array(got), expected)
    assert error <= GRADIENTS[got.dtype], f"gradient of {name}: relative error {error:.2e}"


def assert_same(got: Tensor, expected: Tensor, name: str = "", tolerance: float = 1e-12) -> None:
    """Same shape and dtype, and every element within `tolerance`, absolute and relative."""
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, msg=lambda m: f"{name}: {m}")
