"""The one large matrix product outside the time loop, by the fastest library that PyTorch carries."""

import torch
import torch.nn.functional as F
from torch import Tensor


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., I] times weight [N, I] transposed, plus bias [N]: [..., N]; differentiable like `F.linear`.

    PyTorch sends float32 products to its BLAS; on processors that this BLAS was not tuned for, the oneDNN in
    the same build is twice as fast, so without a graph to record it goes there.
    """
    if _onednn_takes(x, weight, bias):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def _onednn_takes(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    operands = [x, weight] if bias is None else [x, weight, bias]
    return (
        torch.backends.mkldnn.enabled  # pyright: ignore[reportAttributeAccessIssue]
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and all(t.device.type == "cpu" and t.dtype == torch.float32 and t.numel() > 0 for t in operands)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in operands))
    )
