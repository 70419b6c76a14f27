"""Length by gates: how long a write is kept, whatever the answer does with it."""

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.effective_length.result import EffectiveLength
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.time_constants import known_time_constants

E_FOLD = 0.36787944117144233  # 1/e
HALVINGS = 200  # of an interval of numbers: more than float64 can tell apart


def gate_length(lt: LayerTrace, share: float = E_FOLD) -> EffectiveLength:
    """Steps until a write has faded to a share of itself, from the gates that keep.

    A unit with the time constant τ keeps `exp(-k/τ)` of a write for k steps, so its length is `-τ ln share`; for 1/e it
    is τ itself. The layer's is where the mean of `exp(-k/τ)` over its units falls below `share`.

    Args:
        lt: an LSTM or GRU trace.
        share: of a write, above 0 and below 1.

    Returns: the length, with `units` [H], and the curve at the lags 0 to T.

    Raises:
        UsageError: a plain RNN; a share out of range; a trace without steps, or with NaN in it.
    """
    check_share(share)
    tau = known_time_constants(lt).double().cpu()  # [H]
    lags = torch.arange(len(lt.h) + 1)
    return EffectiveLength(
        "gates",
        _crossing(tau, share),
        lags,
        torch.stack([_left(tau, k) for k in lags.tolist()]),
        share,
        units=-tau * torch.tensor(share, dtype=torch.float64).log(),
        where=lt.label,
    )


def check_share(share: float) -> None:
    """Raise a UsageError unless 0 < share < 1."""
    if not 0 < share < 1:
        raise UsageError(f"share is {share}; it must lie above 0 and below 1")


def _left(tau: Tensor, steps: float) -> Tensor:
    """The share of a write that is left after so many steps, the mean over the units."""
    left = torch.where(
        tau.isinf(), 1.0, (-steps / tau).exp()
    )  # of τ = 0 nothing, but for what was written just now
    return (left if steps else torch.ones_like(tau)).mean()


def _crossing(tau: Tensor, share: float) -> float:
    """Where `_left` falls below the share; inf where it never does."""
    if float(tau.isinf().double().mean()) >= share:
        return float("inf")
    low, high = 0.0, 1.0
    while _left(tau, high) >= share:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _left(tau, middle) >= share else (low, middle)
    return low
