"""Zoneout: units that keep their old value for a step.

Source: Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden activations". Ours differs in one
thing: h_t is read from the zoned-out c_t, where the paper reads it from the c before zoneout; so h = o⊙tanh c holds
under zoneout on c.
"""

import torch
from torch import Tensor

Kept = Tensor | float | None
"""Which units keep their old value: a bool mask [B, H] in training, the probability in eval, None for no zoneout."""


def zoneout(old: Tensor, new: Tensor, kept: Kept) -> Tensor:
    """`m ⊙ old + (1 - m) ⊙ new` for old and new [B, H], with the mask m in training and its expectation in eval."""
    if kept is None:
        return new
    if isinstance(kept, Tensor):
        return torch.where(kept, old, new)
    return kept * old + (1 - kept) * new
