"""What was seen of one recurrent layer in one direction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from gatewise.cells import PLAIN, Variant
from gatewise.memory.masks import DrawnMasks, Masks
from gatewise.memory.places import Key as Key
from gatewise.memory.places import Placed
from gatewise.memory.states import residual_of


@dataclass(frozen=True, eq=False)
class LayerTrace(Placed):
    """One layer in one direction, seen from inside; gates are also attributes: `.i`, `.f`, ... and `.f_pre`.

    All times stand in time order, also in the reverse direction; what lies beyond a row's length is zero.

    Attributes:
        path: of the module inside the recorded model; "" for the model itself.
        layer: index of the layer in its module.
        direction: "forward" or "reverse".
        cell: "lstm", "gru", "gru_reset_before", "rnn_tanh" or "rnn_relu".
        gates: activated gates by name, each [T, B, H]: i, f, g, o of an LSTM (g after its dropout, i = 1 - f where
            they are coupled); r, z, n of a GRU; none of a plain RNN, whose only row block is h itself.
        h: hidden states [T, B, P].
        h0: initial hidden state [B, P].
        c: cell states [T, B, H] of an LSTM, else None.
        c0: initial cell state [B, H], or None.
        pre: pre-activations by gate name; empty unless they were asked for.
        lengths: [B] int64 valid steps of each row; None: all T.
        w_hr: projection [P, H], or None.
        source: "kernel" (the layer handed its gates out) or "replay" (read from its output).
        variant: of the cell, as far as this call had it (no dropout in eval).
        borders: bool [T, B], True where the layer started a step from zeros, a new segment; None: nowhere.
        masks: of zoneout in training, else None.
        norm_c, norm_c_bias: [H] of layer normalisation's read, or None.
        replayed_residual: `residual` as the replay found it; None: not known yet.
    """

    path: str
    layer: int
    direction: Literal["forward", "reverse"]
    cell: str
    gates: dict[str, Tensor]
    h: Tensor
    h0: Tensor
    c: Tensor | None = None
    c0: Tensor | None = None
    pre: dict[str, Tensor] = field(default_factory=dict)
    lengths: Tensor | None = None
    w_hr: Tensor | None = None
    source: Literal["kernel", "replay"] = "replay"
    variant: Variant = PLAIN
    borders: Tensor | None = None
    masks: Masks | DrawnMasks | None = None
    norm_c: Tensor | None = None
    norm_c_bias: Tensor | None = None
    replayed_residual: float | None = None

    def __getattr__(self, name: str) -> Tensor:
        # Only reached for what is no field. Dunder look-ups (copy, pickle) must not touch the fields.
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self.gates:
            return self.gates[name]
        if name.endswith("_pre"):
            if name[:-4] in self.pre:
                return self.pre[name[:-4]]
            if name[:-4] in (*self.gates, "h") and not self.pre:
                raise AttributeError(
                    f"{self.label} was recorded without pre-activations; record(model, pre=True) keeps {name}"
                )
        has = ", ".join([*self.gates, "h"] + (["c"] if self.c is not None else []))
        raise AttributeError(f"{self.label} is a {self.cell} and has no {name}; it has {has}")

    @cached_property
    def residual(self) -> float:
        """Largest difference between the h that the gates give and the layer's own; found when first asked for."""
        return residual_of(self) if self.replayed_residual is None else self.replayed_residual

    def kept(self, state: Literal["c", "h"]) -> Tensor | float | None:
        """The share of its old value that zoneout let each unit keep at each step; None without zoneout on `state`.

        In training 0 or 1 in the trace's dtype, [T, B, *]; in eval the same number everywhere.
        """
        p = self.variant.zoneout[("c", "h").index(state)]
        if not p:
            return None
        mask = None if self.masks is None else getattr(self.masks, state)
        return p if mask is None else mask.to(self.h.dtype)

    @property
    def content_shape(self) -> tuple[int, int, int]:
        """(T, B, H)."""
        steps, batch, size = self.h.shape
        return steps, batch, (size if self.w_hr is None else self.w_hr.shape[1])

    def full_lengths(self) -> Tensor:
        """[B] int64 on the trace's device, T where no lengths were given."""
        if self.lengths is None:
            return torch.full((self.h.shape[1],), self.h.shape[0], device=self.h.device)
        return self.lengths.to(self.h.device, torch.int64)

    def rows(self, some: slice) -> LayerTrace:
        """These rows of the batch alone, as views."""

        def over_time(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[:, some]

        def state(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[some]

        return replace(
            self,
            gates={name: gate[:, some] for name, gate in self.gates.items()},
            pre={name: gate[:, some] for name, gate in self.pre.items()},
            h=self.h[:, some],
            h0=self.h0[some],
            c=over_time(self.c),
            c0=state(self.c0),
            lengths=state(self.lengths),
            borders=over_time(self.borders),
            masks=None if self.masks is None else Masks(over_time(self.masks.c), over_time(self.masks.h)),
            replayed_residual=None,
        )

    def first_steps(self) -> Tensor:
        """[B], the time index at which the layer entered each row; -1 in reverse for a row of length 0."""
        lengths = self.full_lengths()
        return lengths - 1 if self.reverse else torch.zeros_like(lengths)

    def last_steps(self) -> Tensor:
        """[B], the time index at which the layer left each row; -1 in forward for a row of length 0."""
        lengths = self.full_lengths()
        return torch.zeros_like(lengths) if self.reverse else lengths - 1

    def valid(self) -> Tensor:
        """True within each row's length: [T, B] bool."""
        return torch.arange(self.h.shape[0], device=self.h.device)[:, None] < self.full_lengths()

    def final(self) -> tuple[Tensor, Tensor | None]:
        """The state that the layer left behind: h_n [B, P] and c_n [B, H]; the initial one for length 0."""
        return _at_end(self, self.h, self.h0), (
            None if self.c is None or self.c0 is None else _at_end(self, self.c, self.c0)
        )

    def __repr__(self) -> str:
        steps, batch, hidden = self.content_shape
        return f"LayerTrace({self.label}: {self.cell}, T={steps}, B={batch}, H={hidden})"


def _at_end(lt: LayerTrace, states: Tensor, initial: Tensor) -> Tensor:
    if states.shape[0] == 0:
        return initial
    index = lt.last_steps().clamp(min=0)[None, :, None].expand(1, -1, states.shape[2])
    return torch.where((lt.full_lengths() > 0)[:, None], states.gather(0, index)[0], initial)
