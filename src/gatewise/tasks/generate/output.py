"""The output of a language model: logits, softmax and negative log likelihood in as few passes as possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

AT_ONCE = 1 << 19
"""Logits that are turned into probabilities at once on the CPU, where they stay in the cache meanwhile."""
AT_ONCE_MEASURING = 1 << 22
"""Logits that exist at once where no gradient is asked for."""
ON_CUDA = 32
"""How many times as many on CUDA, where a call costs more than memory."""


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
    rows = _rows(AT_ONCE_MEASURING, weight)
    found = [
        _losses(torch.addmm(bias, part, weight.t()), wanted)[0]
        for part, wanted in zip(h.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(found)


class _NllSum(Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        logits = torch.addmm(bias, h, weight.t())  # [N, V]
        losses = []
        rows = _rows(AT_ONCE, weight)
        for part, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
            own, log_p = _losses(part, wanted)
            losses.append(own)
            part.copy_(
                log_p.exp_()
            )  # probabilities; less 1 at the target they are the gradient of the logits
        minus = logits.new_full((len(targets), 1), -1.0)
        logits.scatter_add_(1, targets.unsqueeze(1), minus)
        ctx.save_for_backward(h, weight, logits)
        return torch.cat(losses).sum()

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


def _losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Losses [n] and log-probabilities [n, V], float32 (float64 of float64)."""
    log_p = torch.log_softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return -log_p.gather(1, targets.unsqueeze(1)).squeeze(1), log_p


def _rows(logits: int, weight: Tensor) -> int:
    most = logits * ON_CUDA if weight.is_cuda else logits
    return max(1, most // len(weight))
