"""The optimizer that the options name, and the step before it: the gradient's norm held below a bound."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gatewise.training.options import LoopOptions


def make_optimizer(parameters: Sequence[nn.Parameter], options: LoopOptions) -> Optimizer:
    """AdamW, Adam or plain SGD, each with one fused kernel a step.

    The weight decay of AdamW is decoupled (Loshchilov & Hutter 2019); that of the others is added to the gradient.
    """
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, fused=True)
    kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=options.betas, weight_decay=decay, fused=True)


def clip_gradients(parameters: Sequence[nn.Parameter], bound: float) -> None:
    """Scale the gradients so that the norm of all together is at most `bound`; torch's arithmetic.

    On the CPU gradients below the bound are left alone, which saves a pass over them; torch multiplies them by 1.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if not (norm.is_cpu and _is_below(norm, bound)):
        nn.utils.clip_grads_with_norm_(parameters, bound, norm)


def _is_below(norm: Tensor, bound: float) -> bool:
    """Whether torch's factor, bound / (norm + 1e-6), is at least 1."""
    return bound / (norm.item() + 1e-6) >= 1
