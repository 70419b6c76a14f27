"""How long units remember, and how hard their gates are driven."""

import math

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.additive import kept_by_step
from gatewise.memory.layer_trace import LayerTrace

LEFT, RIGHT = 0.1, 0.9  # a gate below the first is saturated to the left, above the second to the right


def time_constants(lt: LayerTrace) -> Tensor:
    """τ = -1 / mean log f over the valid steps: the steps until a memory has decayed to 1/e.

    The mean is over the steps of all rows; a GRU's z stands in place of f, under zoneout what f and zoneout together
    keep. Where a segment begins the gate counts as it was, though nothing was there to keep. inf for a unit whose gate
    never closes, 0 for one that was reset completely at some step; NaN without any valid step.

    Returns:
        [H], in steps.

    Raises:
        UsageError: a plain RNN.
    """
    if not lt.gates:
        raise UsageError(f"{lt.label}: a plain RNN ({lt.cell}) has no gate that keeps, so no time constant")
    keep = kept_by_step(lt)[lt.valid()]  # [N, H]
    return (-1 / keep.log().mean(0)).abs().to(lt.h.dtype)


def known_time_constants(lt: LayerTrace) -> Tensor:
    """`time_constants`, or a UsageError where one is NaN."""
    tau = time_constants(lt)
    if bool(tau.isnan().any()):
        raise UsageError(
            f"{lt.label}: {int(tau.isnan().sum())} of {len(tau)} units have no time constant, for the trace has no "
            "step or holds NaN"
        )
    return tau


def half_life(lt: LayerTrace) -> Tensor:
    """Steps until half of a memory is gone, ln ½ / mean ln f: [H]. See `time_constants`."""
    return time_constants(lt) * math.log(2)


def saturation(lt: LayerTrace) -> dict[str, tuple[Tensor, Tensor]]:
    """Per gate and unit, the share of valid steps with the gate below 0.1 (left) and above 0.9 (right).

    Only the sigmoid gates: i, f, o of an LSTM; r, z of a GRU; none of a plain RNN.

    Returns:
        {gate: (left [H], right [H])}; NaN without any valid step.

    Source:
        Karpathy, Johnson & Li 2015, "Visualizing and Understanding Recurrent Networks", section 4.2.
    """
    valid = lt.valid()
    shares = {}
    for name, gate in lt.gates.items():
        if name not in ("g", "n"):
            steps = gate[valid]  # [N, H]
            shares[name] = (_share(steps < LEFT, lt.h.dtype), _share(steps > RIGHT, lt.h.dtype))
    return shares


def _share(hits: Tensor, dtype: torch.dtype) -> Tensor:
    return hits.to(dtype).mean(0)
