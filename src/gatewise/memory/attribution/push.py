"""Push as an attribution: what each step wrote into the top layer, and how far it moved the answer."""

import torch

from gatewise.memory.attribution.case import Case, Shares, refuse_cells, total
from gatewise.memory.push import reach


def shares(case: Case) -> Shares:
    """The pushes of `push_ledger`, in float64, summed over the directions of the top layer."""
    refuse_cells(case, "push", ("lstm", "gru", "gru_reset_before"), "it keeps no sum of what its steps wrote")
    parts = []
    for key, weights in case.readout.weights.items():
        lt = case.readout.traces[key]
        read = reach(lt, weights, torch.ones(weights.shape[2], device=weights.device))
        initial = (read.initial * read.memory.initial).sum(-1)  # [B]
        parts.append(Shares((read.reach * read.memory.written).sum(-1), initial + read.bias))
    summed = total(parts)
    return summed._replace(rest=summed.rest + case.readout.constant)
