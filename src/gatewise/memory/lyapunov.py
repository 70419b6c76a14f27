"""Lyapunov exponents of a recurrent layer along a recorded path: how fast nearby states come together or part.

They are the mean logarithms by which the product of the steps' Jacobians stretches orthogonal directions, and so also
the rates at which a gradient shrinks or grows on its way back through the layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.kernels.weights import Weights
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.modules import Opened, find
from gatewise.memory.places import Placed
from gatewise.memory.tangent import Tangent, tangent


@dataclass(frozen=True, eq=False)
class Lyapunov(Placed):
    """The largest k Lyapunov exponents of one layer in one direction, in 1/step; float64.

    Attributes:
        path, layer, direction, cell: as in `LayerTrace`.
        size: N, how many exponents there are: H, of an LSTM P + H, for its state is (h, c).
        exponents: [B, k] of each row, falling; NaN for a row without a counted step. -inf where the product of the
            Jacobians loses a direction altogether.
        running: [T, B, k], the same after each step in the order of processing, from which one sees whether they have
            settled; NaN before the first counted step, after a row's last one, and where no QR was taken. Its columns
            are those of `exponents`.
        steps: [B] int64, the steps counted in each row.
    """

    path: str
    layer: int
    direction: Literal["forward", "reverse"]
    cell: str
    size: int
    exponents: Tensor
    running: Tensor
    steps: Tensor

    @property
    def mean(self) -> Tensor:
        """[k], the mean over the rows that have a counted step; NaN where none has."""
        return self.exponents[self.steps > 0].mean(0)

    @property
    def dimension(self) -> Tensor:
        """[B], the Kaplan-Yorke dimension of each row: `j + (λ_1 + … + λ_j) / |λ_{j+1}|`, j the most with a sum ≥ 0.

        Raises:
            UsageError: the sum of the k exponents of a row is still at least 0, so that more are needed.
        """
        sums = self.exponents.cumsum(1)  # [B, k]
        count = (sums >= 0).sum(1)
        full, k = self.exponents.shape[1] == self.size, self.exponents.shape[1]
        if not full and bool((count == k).any()):
            raise UsageError(
                f"{self.label}: the sum of the largest {k} of {self.size} exponents is at least 0, so the dimension "
                "needs more of them"
            )
        whole = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=1).gather(1, count[:, None])[:, 0]
        following = torch.cat([self.exponents, torch.full_like(sums[:, :1], -math.inf)], dim=1)
        found = count + whole / following.gather(1, count[:, None])[:, 0].abs()
        return torch.where(self.steps > 0, found, math.nan)

    @property
    def sentence(self) -> str:
        """What the largest exponent says, in words."""
        largest = float(self.mean[0])
        where, steps = self.label, int(self.steps.sum())
        if math.isnan(largest):
            return f"{where}: no step was counted, so there is no exponent."
        if largest == -math.inf:
            return f"{where}: nearby states are one and the same after a step."
        rate = f"{where}: the largest exponent is {largest:+.4f} a step over {steps:,} steps: "
        if abs(largest) < 1e-6:
            return rate + "nearby states keep their distance."
        half, way = math.log(2) / abs(largest), "come together" if largest < 0 else "part"
        change = "halved" if largest < 0 else "doubled"
        return rate + f"nearby states {way}, and their distance is {change} after {half:,.3g} steps."

    def __repr__(self) -> str:
        rows, k = self.exponents.shape
        return f"Lyapunov({self.label}: {self.cell}, {k} of {self.size} exponents, B={rows})"


@torch.no_grad()
def lyapunov(
    lt: LayerTrace,
    model: nn.Module,
    k: int | None = None,
    *,
    warm_up: int = 0,
    every: int = 1,
    seed: int = 0,
) -> Lyapunov:
    """The Lyapunov exponents of a layer along its recorded path, by repeated QR.

    With J_t = ∂s_t/∂s_{t-1} the Jacobian of step t by the state s (h, of an LSTM (h, c)), `J_t Q_{t-1} = Q_t R_t` from
    a random orthonormal Q_0, and `λ_j = 1/T Σ_t log |R_t,jj|`. The input is what it was: these are exponents of the
    driven layer. Of layers above each other with one direction, the exponents of all together are those of each.

    Args:
        lt: a trace of a plain cell; forward or reverse, with lengths or without.
        model: what was recorded, or the module at `lt.path` itself; its weights are read as they are now.
        k: how many, the largest ones; None: all N.
        warm_up: steps at the beginning of each row that turn Q and are not counted.
        every: steps between two QRs; more is faster, and loses directions that shrink below rounding in between.
        seed: of Q_0.

    Returns:
        The `Lyapunov`. What stands below float64's rounding in a step counts as lost, -inf.

    Raises:
        UsageError: numbers out of range; a variant of the cell, or resets; a model that has no such layer, or one of
            another size; a trace with numbers that are not finite.

    Source:
        Benettin et al. 1980, "Lyapunov characteristic exponents for smooth dynamical systems", part 2; Engelken, Wolf &
        Abbott 2023, "Lyapunov spectra of chaotic recurrent neural networks"; Vogt et al. 2022, "On Lyapunov exponents
        for RNNs: understanding information propagation using dynamical systems tools".
    """
    _refuse(lt)
    steps = tangent(lt, _weights(lt, model))
    k = steps.size if k is None else k
    _check(lt, "k", k, 1, steps.size)
    _check(lt, "warm_up", warm_up, 0)
    _check(lt, "every", every, 1)
    lengths = lt.full_lengths()
    done = torch.arange(1, len(lt.h) + 1, device=lengths.device)[:, None]  # steps processed
    due = (done <= lengths) & ((done % every == 0) | (done == lengths) | (done == warm_up))  # [T, B]
    first = torch.randn(len(lengths), steps.size, k, generator=torch.Generator().manual_seed(seed)).double()
    logs = _logs(lt, steps, torch.linalg.qr(first.to(lengths.device)).Q, due)
    return _averaged(lt, steps.size, logs, due, warm_up)


def _logs(lt: LayerTrace, steps: Tangent, q: Tensor, due: Tensor) -> Tensor:
    """log |R_jj| of each QR at the step after which it was taken, 0 at the others: [T, B, k] in order of processing.

    Args:
        q: Q_0 [B, N, k].
        due: [T, B], where a QR is to be taken.
    """
    lengths = lt.full_lengths()
    logs = q.new_zeros(*due.shape, q.shape[2])
    for n in range(len(due)):
        rows = (lengths > n).nonzero()[:, 0]
        at = lengths[rows] - 1 - n if lt.reverse else torch.full_like(rows, n)
        q[rows] = steps.step(at, rows, q[rows])
        if bool(due[n].any()):
            q[due[n]], logs[n, due[n]] = _orthonormal(q[due[n]])
    return logs


def _orthonormal(v: Tensor) -> tuple[Tensor, Tensor]:
    """Q and log |R_jj| of [R, N, k]; what is no more than the rounding of its column counts as 0."""
    q, r = torch.linalg.qr(v)
    diagonal = r.diagonal(dim1=-2, dim2=-1).abs()  # [R, k]
    rounding = 10 * torch.finfo(v.dtype).eps * torch.linalg.vector_norm(v, dim=-2)
    return q, diagonal.masked_fill(diagonal <= rounding, 0).log()


def _averaged(lt: LayerTrace, size: int, logs: Tensor, due: Tensor, warm_up: int) -> Lyapunov:
    steps = (lt.full_lengths() - warm_up).clamp(min=0)
    counted = torch.arange(1, len(logs) + 1, device=logs.device)[:, None] - warm_up  # [T, 1]
    due = due & (counted > 0)
    sums = logs.masked_fill(~due[..., None], 0).cumsum(0)
    running = (sums / counted[..., None]).masked_fill(~due[..., None], math.nan)
    last = sums[-1] if len(sums) else logs.new_zeros(logs.shape[1:])
    exponents = (last / steps[:, None]).masked_fill((steps == 0)[:, None], math.nan)
    exponents, ranks = exponents.sort(dim=1, descending=True)
    running = running.gather(2, ranks[None].expand_as(running))
    return Lyapunov(lt.path, lt.layer, lt.direction, lt.cell, size, exponents, running, steps)


def _check(lt: LayerTrace, name: str, value: int, least: int, most: int | None = None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise UsageError(f"{lt.label}: {name} is {value!r}; it is a whole number of at least {least}{upper}")


def _weights(lt: LayerTrace, model: nn.Module) -> Weights:
    """The weights of the traced layer in `model`."""
    own = {opened.path: opened for opened in find(model)}
    opened = own.get(lt.path) or own.get("")
    if opened is None:
        known = ", ".join(map(repr, own))
        raise UsageError(f"{lt.label}: the model has no recurrent layer at {lt.path!r}; it has {known}")
    _check_place(lt, opened)
    weights = opened.weights(lt.layer, lt.reverse)
    expected, found = (lt.h.shape[2], lt.content_shape[2]), (weights.w_hh.shape[1], weights.hidden_size)
    if opened.cell != lt.cell or expected != found:
        raise UsageError(
            f"{lt.label}: the trace is of a {lt.cell} with {expected[1]} units, and the model has a {opened.cell} with "
            f"{found[1]} there"
        )
    return weights


def _check_place(lt: LayerTrace, opened: Opened) -> None:
    layers, both = getattr(opened.module, "num_layers", 1), getattr(opened.module, "bidirectional", False)
    if lt.layer >= layers or (lt.reverse and not both):
        raise UsageError(f"{lt.label}: {opened.label} has {layers} layers and {1 + both} directions")


def _refuse(lt: Any) -> None:
    if not isinstance(lt, LayerTrace):
        raise UsageError(
            f"lyapunov takes the trace of one layer, such as trace[path][0]; this is a {type(lt).__name__}"
        )
    what = lt.variant.names[0] if lt.variant.names else None if lt.borders is None else "resets"
    if what is not None:
        raise UsageError(f"{lt.label}: exponents are those of plain cells, and this call has {what}")
    for name, values in {"h": lt.h, "c": lt.c, **lt.gates}.items():
        if values is not None and not bool(values.isfinite().all()):
            raise UsageError(
                f"{lt.label}: {name} holds numbers that are not finite, so there are no exponents"
            )
