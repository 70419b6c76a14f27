"""Ragged batches without padded work and without packing: segments of time in which the same rows run.

With the rows sorted by falling length, the steps between two neighbouring distinct lengths form a dense block of the
first rows. A kernel for dense blocks therefore runs a ragged batch exactly, one call per distinct length; the
final state of a row is what the last block that held it left behind.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError


class Segment(NamedTuple):
    """The steps start <= t < stop, in which the first `rows` rows run."""

    start: int
    stop: int
    rows: int


class Layout(NamedTuple):
    """How a batch is cut.

    Attributes:
        segments: in order of time.
        order: [B], the rows by falling length; None when they stand so already.
        inverse: [B], the permutation that undoes `order`.
    """

    segments: list[Segment]
    order: Tensor | None = None
    inverse: Tensor | None = None

    def sort(self, tensor: Tensor, dim: int) -> Tensor:
        """The rows of `tensor`, which lie along `dim`, by falling length."""
        return tensor if self.order is None else tensor.index_select(dim, self.order)

    def unsort(self, tensor: Tensor, dim: int) -> Tensor:
        """The inverse of `sort`."""
        return tensor if self.inverse is None else tensor.index_select(dim, self.inverse)


def layout(lengths: Tensor | None, T: int, B: int) -> Layout:
    """The layout of a batch [T, B, *]: one segment when there are no lengths."""
    if lengths is None:
        return Layout([Segment(0, T, B)])
    values = lengths.tolist()
    falling = sorted(range(B), key=lambda b: -values[b])  # stable: equal lengths keep their order
    segments: list[Segment] = []
    start = 0
    for rows in range(B, 0, -1):
        stop = values[falling[rows - 1]]
        if stop > start:
            segments.append(Segment(start, stop, rows))
            start = stop
    if falling == list(range(B)):
        return Layout(segments)
    order = torch.tensor(falling, device=lengths.device)
    return Layout(segments, order, torch.argsort(order))


def last_steps(lengths: Tensor, T: int) -> Tensor:
    """True at each row's last valid step, where a reverse run enters it; [T, B, 1]."""
    return (torch.arange(T, device=lengths.device)[:, None] == lengths - 1)[..., None]


def padding(lengths: Tensor, T: int) -> Tensor:
    """True where a step lies beyond its row's length; [T, B, 1]."""
    return (torch.arange(T, device=lengths.device)[:, None] >= lengths)[..., None]


def check_range(lengths: Tensor, T: int) -> None:
    """Raise a UsageError unless all lengths [B] lie between 0 and T; reads their values."""
    if not lengths.numel():
        return
    low, high = (int(end) for end in lengths.aminmax())
    if low < 0 or high > T:
        raise UsageError(
            f"lengths go from {low} to {high}; x has {T} steps, so they must lie between 0 and {T}"
        )


def borders(resets: Tensor, lengths: Tensor | None, *, reverse: bool) -> Tensor:
    """True where a step starts from zeros, in the order of the pass; bool [T, B].

    `resets` [T, B] says where a segment begins in time. A reverse pass therefore crosses a border where it enters a
    step from the first step of the next segment, if that step is within the row's length.
    """
    if not reverse:
        return resets
    T = len(resets)
    after = torch.cat((resets[1:], torch.zeros_like(resets[:1])))
    return after if lengths is None else after & ~padding(lengths - 1, T)[..., 0]
