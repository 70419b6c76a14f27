"""The output of a language model: logits, softmax and negative log likelihood in as few passes as possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from gatewise.kernels.softmax import ON_CUDA, softmax_loss

AT_ONCE_MEASURING = 1 << 22
"""Logits that exist at once where no gradient is asked for."""


def nll_sum(h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """-Σ log softmax(h Wᵀ + b)[target], in nats; a scalar with gradients of h, weight and bias.

    The logits are computed in the dtype of h and stay in one buffer, in which they become their own gradient; the
    softmax is taken in float32 (of float64 in float64), and so is the sum.

    Args:
        h: [N, H]. weight: [V, H] and bias: [V], cast to the dtype of h. targets: [N], in 0..V-1.
    """
    return _NllSum.apply(h, weight.to(h.dtype), bias.to(h.dtype), targets)  # type: ignore[return-value]


@torch.no_grad()
def token_nll(h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(h Wᵀ + b)[target] of each row, in nats, without gradients: [N] float32.

    Shapes as of `nll_sum`; at most `AT_ONCE_MEASURING` logits exist at a time.
    """
    rows = max(1, AT_ONCE_MEASURING * (ON_CUDA if weight.is_cuda else 1) // len(weight))
    found = [
        softmax_loss(part @ weight.t(), bias, wanted)
        for part, wanted in zip(h.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(found)


class _NllSum(Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        logits = h @ weight.t()  # [N, V]; the bias is added with the softmax, which saves a pass over them
        losses = softmax_loss(logits, bias, targets)
        ctx.save_for_backward(h, weight, logits)
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Any
    ) -> tuple[Tensor | None, ...]:
        h, weight, dlogits = ctx.saved_tensors
        scale = gradients[0].to(h.dtype)
        need_h, need_weight, need_bias, _ = ctx.needs_input_grad
        dh = (dlogits @ weight) * scale if need_h else None
        dweight = dlogits.t() @ (h * scale) if need_weight else None
        dbias = dlogits.sum(0) * scale if need_bias else None
        return dh, dweight, dbias, None
