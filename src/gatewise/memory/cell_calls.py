"""Calls of a cell, step by step, joined into one trace over time as long as each continues the last one."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.building import Ran
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.modules import Opened
from gatewise.memory.opening import open_replayed


@dataclass
class _Chain:
    """Steps that follow each other: what went in, what came out."""

    h0: Tensor  # [B, H]
    c0: Tensor | None
    versions: list[int]
    x: list[Tensor] = field(default_factory=list)
    h: list[Tensor] = field(default_factory=list)
    last: tuple[Tensor, ...] = ()  # the state that the last call handed out, for the comparison


class CellCalls:
    """Collects the calls of one cell; `finish` opens a chain in batched products, like a layer."""

    def __init__(self, opened: Opened, keep_pre: bool) -> None:
        self._opened = opened
        self._keep_pre = keep_pre
        self._chain: _Chain | None = None

    def add(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> list[LayerTrace]:
        """Take one call; the trace of the chain before it, where this call does not continue it."""
        given = dict(zip(("x", "hx"), args, strict=False)) | kwargs
        x = given["x"] if given.get("x") is not None else given["input"]
        hx = given.get("hx")
        came = None if hx is None else _as_state(hx)
        finished = []
        if self._chain is None or came is None or not _continues(came, self._chain.last):
            finished = self.finish()
            h_out = _as_state(result)
            start = came if came is not None else tuple(torch.zeros_like(s) for s in h_out)
            h0, *rest = (s.clone() for s in start)
            self._chain = _Chain(h0, rest[0] if rest else None, self._versions())
        self._chain.x.append(_batch(x).clone())
        out = tuple(s.clone() for s in _as_state(result))
        self._chain.h.append(out[0])
        self._chain.last = out
        return finished

    def finish(self) -> list[LayerTrace]:
        """The trace of the open chain, if there is one.

        Raises:
            UsageError: the cell's weights changed since the chain began.
        """
        chain, self._chain = self._chain, None
        if chain is None:
            return []
        if chain.versions != self._versions():
            raise UsageError(
                f"{self._opened.label}: the cell's weights changed after its first of {len(chain.x)} recorded "
                "calls, so its gates can no longer be read"
            )
        x, h = torch.stack(chain.x), torch.stack(chain.h)  # [T, B, I], [T, B, H]
        ran = Ran(0, False, x, h, chain.h0, chain.c0, self._opened.weights(0))
        return [open_replayed(self._opened, ran, keep_pre=self._keep_pre)]

    def _versions(self) -> list[int]:
        weights = self._opened.weights(0).tensors()
        return [0 if w.is_inference() else w._version for w in weights] + [id(w) for w in weights]


def _as_state(state: Any) -> tuple[Tensor, ...]:
    """(h, c) or (h,), each [B, H]."""
    return tuple(_batch(s) for s in (state if isinstance(state, tuple | list) else (state,)))


def _batch(tensor: Tensor) -> Tensor:
    return tensor[None] if tensor.dim() == 1 else tensor


def _continues(came: tuple[Tensor, ...], last: tuple[Tensor, ...]) -> bool:
    """By value, so that a state that was changed in place, or reset in some rows, begins a new chain."""
    return len(came) == len(last) and all(torch.equal(a, b) for a, b in zip(came, last, strict=True))
