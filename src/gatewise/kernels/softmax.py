"""The end of a language model: the losses of logits and, in their place, the gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from gatewise.kernels import native, operator
from gatewise.kernels.registry import forced

AT_ONCE = 1 << 19
"""Logits that torch turns into probabilities at once on the CPU, where they stay in the cache meanwhile."""
ON_CUDA = 32
"""How many times as many on CUDA, where a call costs more than memory."""


def softmax_loss(logits: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(logits + bias)[target] of each row, in nats; the logits become the gradient of the sum of all.

    That gradient is the softmax less 1 at the target. It is taken in float32, of float64 in float64, and then stands
    in the dtype of the logits. Nothing is recorded for autograd.

    Args:
        logits: [N, V], contiguous. bias: [V]. targets: [N] int64, in 0..V-1.

    Returns: [N] float32, of float64 logits float64.

    Raises:
        UsageError: a target that is none of the columns, found on the CPU.
    """
    if _runs_natively(logits, bias):
        return native.softmax_loss(logits, bias, targets)
    losses, wide = [], bias.to(torch.promote_types(logits.dtype, torch.float32))
    rows = max(1, AT_ONCE * (ON_CUDA if logits.is_cuda else 1) // logits.shape[1])
    for part, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
        log_p = torch.log_softmax(part + wide, -1)
        losses.append(-log_p.gather(1, wanted.unsqueeze(1)).squeeze(1))
        part.copy_(log_p.exp_())
    logits.scatter_add_(1, targets.unsqueeze(1), logits.new_full((len(targets), 1), -1.0))
    return torch.cat(losses)


def _runs_natively(logits: Tensor, bias: Tensor) -> bool:
    if operator.dispatched(logits) or forced() == "naive" or not native.available():
        return False
    if bias.shape != logits.shape[1:] or (bias.dtype, bias.device) != (logits.dtype, logits.device):
        return False
    plain = logits.is_cpu and logits.is_contiguous() and not logits.is_neg()
    return plain and logits.dtype in (torch.float32, torch.float64)
