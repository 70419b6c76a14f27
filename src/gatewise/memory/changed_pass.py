"""Interventions on one layer in one direction, carried out step by step while it runs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise.cells.change import Change
from gatewise.cells.zoneout import Kept, zoneout
from gatewise.errors import UsageError
from gatewise.kernels.naive import Start
from gatewise.memory.interventions import Clamp, Erase, Hold, Intervention, chosen


class ChangedPass:
    """What is done to one layer and direction; called at the start of each of its runs (`kernels.Changes`)."""

    def __init__(self, label: str, cell: str, interventions: Sequence[Clamp | Hold | Erase]) -> None:
        self.label, self.cell, self.interventions = label, cell, tuple(interventions)

    def __call__(self, start: Start) -> "_Run":
        """The changes of one run.

        Raises:
            UsageError: a row or step that the run has not; a value of another shape.
        """
        return _Run(self, start)


class _Run:
    """One run: hands out the change of each step, and keeps what is still in memory of the writes to be erased."""

    def __init__(self, changed: ChangedPass, start: Start) -> None:
        self._lstm = changed.cell == "lstm"
        self._memory = "c" if self._lstm else "h"
        self._start = start
        label, done = changed.label, changed.interventions
        self._settings = [_Setting(label, s, start) for s in done if isinstance(s, (Clamp, Hold))]
        self._erasures = [_Erasure(label, e, start) for e in done if isinstance(e, Erase)]
        _refuse_overlap(label, self._erasures)

    def __call__(self, t: int, masks: dict[str, Any]) -> Change:
        kept: Kept = masks.get("zoneout", (None,))[0]
        seen: dict[str, Tensor] = {}

        def change(name: str, value: Tensor) -> Tensor:
            if name == self._memory and self._erasures:
                value = self._erase(t, value, seen, kept)
            for setting in self._settings:
                if setting.name == name and t in setting.steps:
                    value = setting.put(t, value)
                    if name == self._memory:
                        for erasure in self._erasures:
                            erasure.forget(setting.mask)
            seen[name] = value
            return value

        return change

    def _erase(self, t: int, memory: Tensor, gates: dict[str, Tensor], kept: Kept) -> Tensor:
        if self._lstm:
            keep = gates["f"]
            written = gates.get("i", 1 - keep) * gates["g"]
        else:
            keep = gates["z"]
            written = (1 - keep) * gates["n"]
        border = None if self._start.borders is None else self._start.borders[t]
        valid = None if self._start.lengths is None else (self._start.lengths > t)[:, None]  # [B, 1]
        for erasure in self._erasures:
            memory = memory - erasure.follow(t, keep, written, kept, border, valid)
        return memory


class _Setting:
    """A value in the place of a gate or state."""

    def __init__(self, label: str, of: Clamp | Hold, start: Start) -> None:
        self.name = of.gate if isinstance(of, Hold) else of.state
        self._like = start.states[0] if self.name == "h" else start.states[-1]  # [B, P] or [B, H]
        self.steps, self._rows, self._units, self.mask = _places(label, of, start, self._like)
        shape = (len(self._rows), len(self._units))
        value = torch.as_tensor(of.value, dtype=self._like.dtype, device=self._like.device)
        if value.dim() == 3:
            shape = (start.steps, *shape)
        try:
            self._value = value.expand(shape)  # [T, R, U] or [R, U]
        except RuntimeError:
            raise UsageError(
                f"{label}: the value of {self.name} has shape {tuple(value.shape)}; here it must broadcast to {shape}"
            ) from None

    def put(self, t: int, tensor: Tensor) -> Tensor:
        """`tensor` [B, *] with the value of step t in its places."""
        value = self._value[t] if self._value.dim() == 3 else self._value
        return tensor.index_put((self._rows[:, None], self._units), value.to(tensor.dtype))


class _Erasure:
    """What is left in memory of the writes of some steps, followed from step to step."""

    def __init__(self, label: str, of: Erase, start: Start) -> None:
        self.steps, *_, self.mask = _places(label, of, start, start.states[-1])
        self.at = of.at
        self._left: Tensor | None = None  # [B, H]
        if of.at is not None:
            chosen(label, "steps", of.at, start.steps)
            late = min(self.steps) < of.at if start.reverse else max(self.steps) > of.at
            if late:
                last = min(self.steps) if start.reverse else max(self.steps)
                raise UsageError(
                    f"{label}: at={of.at} runs before step {last}, whose write it would erase; choose a later one"
                )

    def follow(
        self, t: int, keep: Tensor, written: Tensor, kept: Kept, border: Tensor | None, valid: Tensor | None
    ) -> Tensor | float:
        """What is to be taken out at the end of step t: [B, H], or 0."""
        if self._left is None and t not in self.steps:
            return 0.0
        old = torch.zeros_like(written) if self._left is None else self._left
        old = old if border is None else old.masked_fill(border, 0)
        add = written.masked_fill(~self.mask, 0) if t in self.steps else 0.0
        left = zoneout(old, keep * old + add, kept)
        if valid is not None:
            left = torch.where(valid, left, 0)
        done = self.at is None or t == self.at
        self._left = None if done else left
        return left if done else 0.0

    def forget(self, mask: Tensor) -> None:
        """These units [B, H] were set to something else, so nothing of the writes is left in them."""
        if self._left is not None:
            self._left = self._left.masked_fill(mask, 0)


def _places(
    label: str, of: Intervention, start: Start, like: Tensor
) -> tuple[set[int], Tensor, Tensor, Tensor]:
    """steps, rows [R], units [U] and the mask [B, *] of both."""
    batch, size = like.shape
    steps = set(chosen(label, "steps", of.steps, start.steps))
    rows, units = (
        torch.tensor(chosen(label, what, which, count), dtype=torch.int64, device=like.device)
        for what, which, count in (("rows", of.rows, batch), ("units", of.units, size))
    )
    mask = torch.zeros(batch, size, dtype=torch.bool, device=like.device)
    mask[rows[:, None], units] = True
    return steps, rows, units, mask


def _refuse_overlap(label: str, erasures: list[_Erasure]) -> None:
    """The same write cannot be taken out twice."""
    for n, one in enumerate(erasures):
        for other in erasures[:n]:
            both = one.steps & other.steps
            if both and bool((one.mask & other.mask).any()):
                raise UsageError(
                    f"{label}: two Erase take out what step {min(both)} wrote into the same units"
                )
