"""A layer's trace, put together from what was seen of it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatewise.cells import PLAIN, Variant
from gatewise.kernels.naive import gate_names
from gatewise.kernels.ragged import padding
from gatewise.kernels.weights import Weights
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.masks import DrawnMasks
from gatewise.memory.modules import Opened


@dataclass(frozen=True)
class Ran:
    """One layer in one direction and what it was called with.

    Attributes:
        layer, reverse: which one.
        x: [T, B, I].
        h: what it put out, [T, B, P].
        h0, c0: initial states, [B, P] and [B, H] or None.
        weights: as its steps read them, dropped where dropout on them is.
        lengths: [B], or None.
        variant: as its steps saw it.
        borders: bool [T, B], True where a step started from zeros, or None.
        seed: of its masks, or None.
    """

    layer: int
    reverse: bool
    x: Tensor
    h: Tensor
    h0: Tensor
    c0: Tensor | None
    weights: Weights
    lengths: Tensor | None = None
    variant: Variant = PLAIN
    borders: Tensor | None = None
    seed: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of its trace: float32 at least."""
        return torch.promote_types(self.h.dtype, torch.float32)


@dataclass(frozen=True)
class Seen:
    """What was seen of it; gates and pre [T, B, G*H] in the row order of the weights, gates None of a plain RNN."""

    gates: Tensor | None
    pre: Tensor | None
    c: Tensor | None
    source: Literal["kernel", "replay"]
    residual: float | None = None


def build(opened: Opened, ran: Ran, seen: Seen, *, copy_h: bool) -> LayerTrace:
    """The trace; it keeps the gates as they are and copies what a user may change in place afterwards.

    Args:
        copy_h: whether the caller of the layer has `ran.h` in hand, too.
    """
    names, dtype, w = gate_names(opened.cell, ran.variant), ran.dtype, ran.weights

    def by_name(rows: Tensor | None) -> dict[str, Tensor]:
        return {} if rows is None else dict(zip(names, rows.chunk(len(names), dim=-1), strict=True))

    def copied(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(dtype, copy=True)

    gates = by_name(seen.gates)
    if ran.variant.coupled:
        i = 1 - gates["f"]
        gates = {"i": i if ran.lengths is None else i.masked_fill(padding(ran.lengths, len(i)), 0), **gates}
    masks = None
    if ran.seed is not None and any(ran.variant.zoneout):
        masks = DrawnMasks(ran.variant, ran.seed, seen.c, ran.h)
    return LayerTrace(
        path=opened.path,
        layer=ran.layer,
        direction="reverse" if ran.reverse else "forward",
        cell=opened.cell,
        gates=gates,
        h=ran.h.to(dtype, copy=copy_h),
        h0=ran.h0.to(dtype, copy=True),
        c=seen.c,
        c0=copied(ran.c0),
        pre=by_name(seen.pre),
        lengths=None if ran.lengths is None else ran.lengths.clone(),
        w_hr=copied(w.w_hr),
        source=seen.source,
        variant=ran.variant,
        borders=None if ran.borders is None else ran.borders.clone(),
        masks=masks,
        norm_c=copied(w.norm_c),
        norm_c_bias=copied(w.norm_c_bias),
        replayed_residual=seen.residual,
    )
