"""Sequences of several lengths, grouped into batches and padded, time first."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import UsageError

POOL = 50
"""Batches in a pool: within it sequences are sorted by length, so that little of a batch is padding."""


def bucketed_batches(
    lengths: Sequence[int] | np.ndarray | Tensor, batch_size: int, generator: torch.Generator | None = None
) -> list[list[int]]:
    """Cut sequences into batches of similar lengths; every index is in exactly one.

    With a generator the order is random: shuffled, cut into pools of 50 batches, each pool sorted by length
    (ties stay shuffled), and the batches shuffled. Without one, sorted by length from the shortest, ties by
    index.

    Args:
        lengths: one length a sequence.
        batch_size: most sequences in a batch, at least 1.
        generator: a CPU generator; its state decides the order.

    Returns:
        Lists of indices; only one of a pool can be smaller than `batch_size`, and only in the last pool.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; it must be 1 at least")
    sizes = torch.as_tensor(lengths, dtype=torch.int64)
    if generator is None:
        return (
            [batch.tolist() for batch in torch.argsort(sizes, stable=True).split(batch_size)]
            if len(sizes)
            else []
        )
    batches: list[list[int]] = []
    order = torch.randperm(len(sizes), generator=generator)
    for pool in order.split(POOL * batch_size) if len(sizes) else ():
        by_length = pool[torch.argsort(sizes[pool], stable=True)]
        batches += [batch.tolist() for batch in by_length.split(batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def pad_ids(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Token numbers [T_b] of several texts as int64 [T, B], zero beyond a length; and lengths, int64 [B]."""
    lengths = [len(one) for one in sequences]
    padded = np.zeros((max(lengths, default=0), len(sequences)), dtype=np.int64)  # [T, B]
    for b, one in enumerate(sequences):
        padded[: len(one), b] = one
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)


def pad_values(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Values [T_b, F] of several series as float32 [T, B, F], zero beyond a length; and lengths, int64 [B].

    Raises:
        UsageError: there is no series, or two of them have different numbers of features.
    """
    widths = sorted({one.shape[1] for one in sequences})
    if len(widths) != 1:
        raise UsageError(f"a batch needs series of one number of features; these have {widths}")
    lengths = [len(one) for one in sequences]
    padded = np.zeros((max(lengths), len(sequences), widths[0]), dtype=np.float32)  # [T, B, F]
    for b, one in enumerate(sequences):
        padded[: len(one), b] = one
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)
