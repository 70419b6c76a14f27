"""Traces of one layer joined along time, where each continues the one before it."""

from itertools import pairwise

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.masks import Masks


def join(parts: list[LayerTrace]) -> LayerTrace:
    """One trace of all parts, which followed each other in time.

    Raises:
        UsageError: another batch size; rows that ended before the last part; a part that did not start from
            the state that the one before it left.
    """
    for n, (before, after) in enumerate(pairwise(parts)):
        _check_continues(n, before, after)
    _check_masks(parts)
    head, last = parts[0], parts[-1]
    steps_before = sum(lt.h.shape[0] for lt in parts[:-1])
    start = last if head.reverse else head
    return LayerTrace(
        path=head.path,
        layer=head.layer,
        direction=head.direction,
        cell=head.cell,
        gates={name: torch.cat([lt.gates[name] for lt in parts]) for name in head.gates},
        h=torch.cat([lt.h for lt in parts]),
        h0=start.h0,
        c=None if head.c is None else torch.cat([lt.c for lt in parts if lt.c is not None]),
        c0=start.c0,
        pre={name: torch.cat([lt.pre[name] for lt in parts]) for name in head.pre},
        lengths=None if last.lengths is None else last.lengths + steps_before,
        w_hr=head.w_hr,
        source=head.source,
        variant=head.variant,
        borders=_borders(parts),
        masks=None if head.masks is None else Masks(_masks(parts, "c"), _masks(parts, "h")),
        norm_c=head.norm_c,
        norm_c_bias=head.norm_c_bias,
        replayed_residual=max(lt.residual for lt in parts) if head.source == "replay" else None,
    )


def _borders(parts: list[LayerTrace]) -> Tensor | None:
    if all(lt.borders is None for lt in parts):
        return None
    return torch.cat([torch.zeros_like(lt.valid()) if lt.borders is None else lt.borders for lt in parts])


def _masks(parts: list[LayerTrace], state: str) -> Tensor | None:
    found = [getattr(lt.masks, state) for lt in parts]
    return None if found[0] is None else torch.cat(found)


def _check_masks(parts: list[LayerTrace]) -> None:
    """One training, one eval: what they have in place of each other's masks is not the same."""
    for n, (before, after) in enumerate(pairwise(parts)):
        if before.variant != after.variant or (before.masks is None) != (after.masks is None):
            raise UsageError(
                f"{before.label}: call {n} and call {n + 1} did not run in the same mode (training or eval), so they "
                "cannot be joined"
            )


def _check_continues(n: int, before: LayerTrace, after: LayerTrace) -> None:
    if before.h.shape[1:] != after.h.shape[1:]:
        raise UsageError(
            f"{before.label}: call {n} has batch size {before.h.shape[1]} and call {n + 1} has "
            f"{after.h.shape[1]}, so they cannot be joined along time"
        )
    if (before.full_lengths() < before.h.shape[0]).any():
        raise UsageError(
            f"{before.label}: rows of call {n} end before its last step, so call {n + 1} cannot be joined"
        )
    earlier, later = (after, before) if before.reverse else (before, after)
    if not _same_state(earlier.final(), (later.h0, later.c0)):
        raise UsageError(
            f"{before.label}: call {n + 1} did not start from the state that call {n} left, so they cannot "
            "be joined along time"
        )


def _same_state(left: tuple[Tensor, Tensor | None], started: tuple[Tensor, Tensor | None]) -> bool:
    """Equal up to the rounding of a replayed cell state (a carried c comes from the kernel itself)."""
    return all(
        a is None or b is None or torch.allclose(a, b.to(a.dtype), rtol=1e-4, atol=1e-5)
        for a, b in zip(left, started, strict=True)
    )
