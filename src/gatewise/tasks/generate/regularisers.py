"""What keeps a language model from learning its text by heart (Merity, Keskar & Socher 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatewise.kernels import dropout_mask


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout: each number of x is 0 with probability p, else divided by 1 - p."""
    if not p:
        return x
    if not x.is_cpu:
        return F.dropout(x, p)
    flat = x.flatten(0, -2)
    return (flat * dropout_mask(p, _seed(), _wide(flat.detach()))).view(x.shape)


def drop_locked(x: Tensor, p: float) -> Tensor:
    """Dropout of x [T, B, F] with one mask for all steps (variational; Gal & Ghahramani 2016)."""
    return x * _kept(p, x.shape[1:], x.device) if p else x


def drop_embeddings(rows: Tensor, ids: Tensor, p: float, vocabulary: int) -> Tensor:
    """Embeddings rows [T, B, E] of ids [T, B]: 0 for a share p of the vocabulary, the others divided by 1 - p.

    A token is left out wherever it stands in this step (Gal & Ghahramani 2016, section 4.2).
    """
    return rows * _kept(p, (vocabulary,), rows.device)[ids].unsqueeze(-1) if p else rows


def activation(h: Tensor, alpha: float) -> Tensor:
    """AR, α·mean(h²) for each token of h [T, B, H], summed over the tokens."""
    return alpha * _wide(h).square().mean(-1).sum()


def temporal_activation(h: Tensor, beta: float) -> Tensor:
    """TAR, β·mean((h_t - h_{t-1})²) over h [T, B, H], times the number of tokens; 0 for a single step."""
    if len(h) < 2:
        return h.new_zeros(())
    return beta * _wide(h[1:] - h[:-1]).square().mean() * (h.shape[0] * h.shape[1])


def _wide(h: Tensor) -> Tensor:
    return h.to(torch.promote_types(h.dtype, torch.float32))


def _kept(p: float, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A mask that torch's generator draws: 0 with probability p, else 1 / (1 - p)."""
    return (torch.rand(shape, device=device) >= p) / (1 - p)


def _seed() -> Tensor:
    return torch.randint(2**62, (), dtype=torch.int64, device="cpu")
