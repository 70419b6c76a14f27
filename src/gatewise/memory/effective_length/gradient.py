"""Length by gradient: how far back a change would still be felt, or an error still teach."""

from typing import Literal

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.effective_length.gates import check_share
from gatewise.memory.effective_length.result import EffectiveLength
from gatewise.memory.flow import LayerFlow

MOST = 0.9
"""Of the gradient, the share that the length holds."""


def gradient_length(
    lf: LayerFlow, share: float = MOST, of: Literal["h", "c", "highway"] | None = None
) -> EffectiveLength:
    """The fewest last steps that hold a share of the gradient.

    With `G(k)` the mean size of the gradient at lag k (`LayerFlow.profile`), the smallest n with
    `Σ_{k<n} G(k) ≥ share Σ_k G(k)`. It says how far back a layer reaches only where the loss reads its last step alone:
    a loss that reads every step has a gradient of its own at every lag.

    Args:
        lf: one layer of what `gradient_flow` returned.
        share: above 0 and below 1.
        of: the profile; None: "c" of an LSTM, "h" of the others.

    Returns: the length, with the curve of `Σ_{j≤k} G(j) / Σ_j G(j)` at the lags k from 0 to the longest row's last.

    Raises:
        UsageError: a share out of range; a profile that the cell does not have; a gradient that is 0 everywhere, or not
            finite.
    """
    check_share(share)
    sizes = _sizes(lf, of or ("h" if lf.dc is None else "c"))
    curve = sizes.cumsum(0) / sizes.sum()
    steps = int((curve < share).sum()) + 1
    return EffectiveLength("gradient", float(steps), torch.arange(len(sizes)), curve, share, where=lf.label)


def _sizes(lf: LayerFlow, of: Literal["h", "c", "highway"]) -> Tensor:
    """The profile at the lags that some row has."""
    longest = _longest(lf)
    sizes = lf.profile(of)[:longest].cpu()
    if not bool(sizes.isfinite().all()):
        lag = int((~sizes.isfinite()).nonzero()[0])
        raise UsageError(f"{lf.label}: the gradient at lag {lag} is {float(sizes[lag])}")
    if not bool(sizes.any()):
        raise UsageError(
            f"{lf.label}: the gradient is 0 at all {longest:,} steps, so none of it lies anywhere"
        )
    return sizes


def _longest(lf: LayerFlow) -> int:
    """The steps of the longest row."""
    if lf.lengths is None:
        return len(lf.dh)
    return int(lf.lengths.max()) if len(lf.lengths) else 0
