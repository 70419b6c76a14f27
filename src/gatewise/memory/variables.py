"""What a step's push owes to each input variable of that step: gradient × input, from the write to x."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.kernels.naive import gate_names
from gatewise.memory.additive import finite_max
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.push import reach


class VariablePush(NamedTuple):
    """The push of each step, divided over the input variables of that step.

    Shape: push [T, B, F]. residual: the largest |push_s - Σ_k push_s,k| of `push`: what stems from h_{s-1}, from the
    biases and from the curvature of the gates; it is no rounding, and can be as large as the push itself.
    """

    push: Tensor
    residual: float


def push_by_variable(
    lt: LayerTrace, weights: Tensor | None, direction: Tensor, x: Tensor, w_ih: Tensor
) -> VariablePush:
    """Gradient × input of each step's push by the variables of that step: `push_s,k = x_s,k ∂push_s/∂x_s,k`.

    The worth Q_s of a write (`push_ledger`), the state h_{s-1} and what the GRU's r lets through of it are held
    fixed. With W the rows of the input weights, σ' = σ(1-σ), LSTM:
    `push_s,k = Σ_j Q_j (i'_j g_j W_i[j,k] + i_j (1 - g_j²) W_g[j,k]) x_k`; GRU:
    `push_s,k = Σ_j Q_j (-z'_j n_j W_z[j,k] + (1 - z_j)(1 - n_j²) W_n[j,k]) x_k`.

    Args:
        lt: an LSTM or GRU trace.
        weights: as in `push_ledger`.
        direction: as in `push_ledger`.
        x: the input of this layer, [T, B, F], rows and times as in the trace.
        w_ih: its input weights, [4H, F] or [3H, F].

    Returns: push [T, B, F] in the trace's dtype, zero beyond the lengths, and the residual.

    Coupled gates have `(1 - f)' = -f'` in place of i'; zoneout on c leaves 1 - m of all of it; dropout on g scales the
    slope of g as it scales g.

    Raises:
        UsageError: a plain RNN; zoneout on h; layer_norm, which divides by the size of all inputs together, so that
            gradient × input sums to about 0 at every step; a wrong shape.

    Source:
        Shrikumar et al. 2016, "Not just a black box: learning important features", for gradient × input.
    """
    if lt.variant.layer_norm:
        raise UsageError(
            f"{lt.label}: layer_norm divides by the size of all inputs together, so a step's push cannot be split over "
            "them by gradient × input"
        )
    read = reach(lt, weights, direction)
    names = gate_names(lt.cell, lt.variant)
    steps, batch, hidden = lt.content_shape
    rows = hidden * len(names)
    if x.dim() != 3 or x.shape[:2] != (steps, batch) or w_ih.shape != (rows, x.shape[2]):
        raise UsageError(
            f"{lt.label}: x has shape {tuple(x.shape)} and w_ih {tuple(w_ih.shape)}; they take "
            f"[{steps}, {batch}, F] and [{rows}, F]"
        )
    w = dict(zip(names, w_ih.double().split(hidden), strict=True))  # each [H, F]
    slopes = {name: read.reach * slope @ w[name] for name, slope in _slopes(lt).items()}
    inputs = x.double().masked_fill(~lt.valid()[..., None], 0)
    pushed = torch.stack(list(slopes.values())).sum(0) * inputs  # [T, B, F]
    whole = (read.reach * read.memory.written).sum(-1)  # [T, B]
    return VariablePush(pushed.to(lt.h.dtype), finite_max(whole - pushed.sum(-1)))


def _slopes(lt: LayerTrace) -> dict[str, Tensor]:
    """The derivative of what is written by the pre-activations of the gates that write, each [T, B, H]."""
    gate = {name: values.double() for name, values in lt.gates.items()}
    if lt.cell == "lstm":
        return _lstm_slopes(lt, gate["i"], gate["g"])
    z, n = gate["z"], gate["n"]
    return {"z": -z * (1 - z) * n, "n": (1 - z) * (1 - n * n)}


def _lstm_slopes(lt: LayerTrace, i: Tensor, g: Tensor) -> dict[str, Tensor]:
    p, kept = lt.variant.recurrent_dropout, lt.kept("c")
    drops = p > 0 and lt.variant.recurrent_dropout_on == "g"
    scale = 1 / (1 - p) if drops else 1.0
    written = 1 if kept is None else 1 - kept
    of_g = i * torch.where((g == 0) & drops, 0.0, scale - g * g / scale)  # a dropped g is 0, whatever x is
    of_i = written * i * (1 - i) * g
    return {"f": -of_i, "g": written * of_g} if lt.variant.coupled else {"i": of_i, "g": written * of_g}
