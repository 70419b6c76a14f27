"""Integrated gradients in the input space of the recurrent module.

Source: Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", equation 1.
"""

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.attribution.case import Case, Shares


def shares(case: Case) -> Shares:
    """`(x - x')⊙∫_0^1 ∂y/∂x(x' + α(x - x')) dα` by Gauss-Legendre quadrature, one run forward and back for each node.

    The answer at the baseline x' belongs to no step.
    """
    x, start = case.call.x, case.baseline
    nodes, weights = np.polynomial.legendre.leggauss(case.points)  # on [-1, 1]
    mean = torch.zeros_like(x, dtype=torch.float64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        mean += float(weight) * _gradient(case, torch.lerp(start, x, float(node)))
    parts = (mean * (x.double() - start.double())).masked_fill(~case.valid()[..., None], 0)  # [T, B, I]
    return Shares(parts.sum(-1), case.run(start).detach().double(), parts)


def _gradient(case: Case, x: Tensor) -> Tensor:
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        y = case.run(x)
        found = torch.autograd.grad(y.sum(), x, allow_unused=True)[0] if y.requires_grad else None
    if found is None:
        raise UsageError(
            f"no gradient connects the answer with the input of {case.label}; a no_grad or a detach inside the model "
            "breaks it"
        )
    return found.double()
