"""What every method of attribution returns, and its sums over groups of steps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import UsageError


@dataclass(frozen=True, eq=False)
class Attribution:
    """An answer y shared out over the steps: `scores.sum(0) + rest + residual = value`.

    Attributes:
        method: its name.
        scores: [T, B] float64, in time order; zero beyond the lengths.
        by_variable: [T, B, I] float64, `scores` by variable of the recurrent module's input, where the method gives
            it (lrp, ig); summed over I it is `scores`. Else None.
        value: y, [B] float64.
        rest: [B] float64, what the method itself assigns to no step; `sums_to` says what it is.
        residual: [B] float64, what the method leaves unexplained: `value - rest - scores.sum(0)`. Of an exact method
            (push, beta, gamma) it is rounding, of ig the error of the quadrature, of cd, lrp and occlusion a part of
            the answer.
        sums_to: in words, what the scores of this method sum to.
        path: of the recurrent module that was explained.
        left_out: in words, other states of the module that the answer reads and push, beta, gamma, cd and lrp leave
            out; empty for most models, and always for ig and occlusion.
    """

    method: str
    scores: Tensor
    by_variable: Tensor | None
    value: Tensor
    rest: Tensor
    residual: Tensor
    sums_to: str
    path: str
    left_out: list[str]


def sum_groups(scores: Tensor, groups: Tensor) -> Tensor:
    """Scores summed over groups of steps: sentences, days, months.

    Args:
        scores: [T, B], or [T, B, I].
        groups: whole numbers, the group of each step, [T] for all rows or [T, B]; -1 for none.

    Returns:
        [G, B] or [G, B, I] in the scores' dtype, G being the largest group + 1; a group without a step has 0.

    Raises:
        UsageError: another shape, numbers that are not whole, or a group below -1.
    """
    steps, batch = scores.shape[:2]
    if groups.is_floating_point() or groups.is_complex() or groups.dtype == torch.bool:
        raise UsageError(f"groups hold {groups.dtype}; they take whole numbers")
    if groups.shape not in ((steps,), (steps, batch)):
        raise UsageError(
            f"groups have shape {tuple(groups.shape)}; they take [{steps}] or [{steps}, {batch}]"
        )
    if groups.numel() and int(groups.min()) < -1:
        raise UsageError(f"groups hold {int(groups.min())}; a group is 0 or more, or -1 for none")
    groups = groups.to(scores.device, torch.int64)
    groups = groups[:, None].expand(steps, batch) if groups.dim() == 1 else groups
    count = int(groups.max()) + 1 if groups.numel() else 0
    # The steps of no group are summed behind the last one, and left out.
    index = torch.where(groups < 0, count, groups)
    index = index if scores.dim() == 2 else index[..., None].expand_as(scores)
    return scores.new_zeros(count + 1, *scores.shape[1:]).scatter_add(0, index, scores)[:count]
