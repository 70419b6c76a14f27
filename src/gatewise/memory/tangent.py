"""How a small change of a recurrent state moves on in one step: the step's Jacobian, applied and never formed.

With V [N, k] changes of the state before a step as columns, and a' what they do to the pre-activations (U h'):

    RNN     h' = slope ⊙ U V                                       slope = 1 - h² (ReLU: 1 where h > 0)
    GRU     h' = z ⊙ V + (h_{t-1} - n) ⊙ z(1 - z) ⊙ U_z V + (1 - z) ⊙ (1 - n²) ⊙ n'
            n' = r ⊙ U_n V + (U_n h_{t-1} + b'_n) ⊙ r(1 - r) ⊙ U_r V       (reset after the product)
            n' = U_n (r ⊙ V + h_{t-1} ⊙ r(1 - r) ⊙ U_r V)                  (reset before it)
    LSTM    c' = f ⊙ V_c + g ⊙ i(1 - i) ⊙ U_i V_h + c_{t-1} ⊙ f(1 - f) ⊙ U_f V_h + i ⊙ (1 - g²) ⊙ U_g V_h
            h' = W_hr (tanh c ⊙ o(1 - o) ⊙ U_o V_h + o ⊙ (1 - tanh² c) ⊙ c'),  the state being (h, c)
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gatewise.kernels.weights import Weights
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.states import before


class Tangent(ABC):
    """The steps of a recorded layer, linearised; all in float64.

    Attributes:
        size: N, the numbers of a state: H, of an LSTM P + H.
    """

    size: int

    @abstractmethod
    def step(self, at: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        """J_t V of some rows.

        Args:
            at: [R] int64, the time index of each row's step.
            rows: [R] int64, which rows of the batch.
            v: [R, N, k].
        """


def tangent(lt: LayerTrace, weights: Weights) -> Tangent:
    """The tangent steps of a plain cell's trace."""
    weights = weights.to(torch.float64)
    if lt.cell == "lstm":
        return _LSTM(lt, weights)
    if lt.cell == "gru":
        return _GRU(lt, weights)
    return _GRUResetBefore(lt, weights) if lt.cell == "gru_reset_before" else _RNN(lt, weights)


def _old_h(lt: LayerTrace) -> Tensor:
    return before(lt.h.double(), lt.h0.double(), lt.lengths, None, reverse=lt.reverse)


class _RNN(Tangent):
    def __init__(self, lt: LayerTrace, w: Weights) -> None:
        h = lt.h.double()
        self.size, self.u = h.shape[2], w.w_hh
        self.slope = (h > 0).double() if lt.cell == "rnn_relu" else 1 - h * h  # [T, B, H]

    def step(self, at: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        return self.slope[at, rows][..., None] * (self.u @ v)


class _GRU(Tangent):
    def __init__(self, lt: LayerTrace, w: Weights) -> None:
        r, z, n, old = lt.r.double(), lt.z.double(), lt.n.double(), _old_h(lt)
        self.size, self.u = n.shape[2], w.w_hh
        b_n = 0 if w.b_hh is None else w.b_hh[2 * self.size :]
        of_n = (1 - z) * (1 - n * n)
        u_n = old @ w.w_hh[2 * self.size :].t() + b_n
        parts = (of_n * u_n * r * (1 - r), (old - n) * z * (1 - z), of_n * r, z)
        self.parts = torch.stack(parts, dim=2)  # [T, B, 4, H], what multiplies U_r V, U_z V, U_n V and V

    def step(self, at: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        parts = self.parts[at, rows][..., None]  # [R, 4, H, 1]
        of_u = (self.u @ v).unflatten(1, (3, self.size))  # [R, 3, H, k]
        return (parts[:, :3] * of_u).sum(1).addcmul_(parts[:, 3], v)


class _GRUResetBefore(Tangent):
    def __init__(self, lt: LayerTrace, w: Weights) -> None:
        r, z, n, old = lt.r.double(), lt.z.double(), lt.n.double(), _old_h(lt)
        self.size = n.shape[2]
        self.u_rz, self.u_n = w.w_hh[: 2 * self.size], w.w_hh[2 * self.size :]
        parts = (old * r * (1 - r), (old - n) * z * (1 - z), (1 - z) * (1 - n * n), r, z)
        self.parts = torch.stack(parts, dim=2)  # [T, B, 5, H]

    def step(self, at: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        of_r, of_z, of_n, r, z = self.parts[at, rows][..., None].unbind(1)  # each [R, H, 1]
        u_r, u_z = (self.u_rz @ v).chunk(2, dim=1)  # each [R, H, k]
        return z * v + of_z * u_z + of_n * (self.u_n @ (r * v + of_r * u_r))


class _LSTM(Tangent):
    def __init__(self, lt: LayerTrace, w: Weights) -> None:
        assert lt.c is not None and lt.c0 is not None
        i, f, g, o = (lt.gates[name].double() for name in "ifgo")
        c = lt.c.double()
        old = before(c, lt.c0.double(), lt.lengths, None, reverse=lt.reverse)
        tanh_c = c.tanh()
        self.size, self.projected, self.u = lt.h.shape[2] + c.shape[2], lt.h.shape[2], w.w_hh
        self.w_hr = w.w_hr
        of_c = (g * i * (1 - i), old * f * (1 - f), i * (1 - g * g))
        parts = (*of_c, tanh_c * o * (1 - o), f, o * (1 - tanh_c * tanh_c))
        self.parts = torch.stack(parts, dim=2)  # [T, B, 6, H]

    def step(self, at: Tensor, rows: Tensor, v: Tensor) -> Tensor:
        parts = self.parts[at, rows][..., None]  # [R, 6, H, 1]
        of_h, of_c = v[:, : self.projected], v[:, self.projected :]
        of_u = (self.u @ of_h).unflatten(1, (4, -1))  # [R, 4, H, k]
        c = (parts[:, :3] * of_u[:, :3]).sum(1).addcmul_(parts[:, 4], of_c)
        read = parts[:, 3] * of_u[:, 3] + parts[:, 5] * c
        return torch.cat([read if self.w_hr is None else self.w_hr @ read, c], dim=1)
