"""The definition of a run over a sequence: the cell, unrolled in Python.

Plain autograd runs through it, so every dtype and every order of derivative works. All other backends are tested
against it, and it against an oracle in NumPy.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.cells import CELLS, PLAIN, Norms, Variant
from gatewise.cells.change import Change
from gatewise.kernels.ragged import borders, padding
from gatewise.kernels.random_bits import Stream, events, scales
from gatewise.kernels.weights import Result, Weights


class Start(NamedTuple):
    """What a run over a sequence begins with.

    Attributes:
        steps: T.
        states: h0 [B, P] and, where the cell has one, c0 [B, H].
        lengths: [B] int64, or None.
        borders: bool [T, B, 1], True where a step starts from zeros, or None.
        reverse: whether the steps run from the last to the first.
    """

    steps: int
    states: tuple[Tensor, ...]
    lengths: Tensor | None
    borders: Tensor | None
    reverse: bool


Changes = Callable[[Start], Callable[[int, dict[str, Any]], Change]]
"""Called at the start of a run; what it returns is called before each step with t and the masks of the step."""


def unroll(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None = None,
    *,
    variant: Variant = PLAIN,
    resets: Tensor | None = None,
    seed: Tensor | None = None,
    reverse: bool = False,
) -> Result:
    """Run a cell over a sequence, step by step; see `gatewise.kernels.recurrence` for arguments and shapes.

    Dropout on the weights is the caller's.
    """
    return unroll_with_gates(
        cell, x, h0, c0, weights, lengths, variant=variant, resets=resets, seed=seed, reverse=reverse
    )[0]


def unroll_with_gates(
    cell: str,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weights: Weights,
    lengths: Tensor | None,
    *,
    variant: Variant,
    resets: Tensor | None,
    seed: Tensor | None,
    reverse: bool,
    keep_gates: bool = False,
    changes: Changes | None = None,
) -> tuple[Result, Tensor | None]:
    """`unroll`, and on request the activated gates [T, B, G*H] in the row order of the weights, zero beyond lengths.

    With `changes` the steps are the changed ones, and so are the gates.
    """
    kind = CELLS[cell]
    T = x.shape[0]
    projection = () if weights.w_hr is None else (weights.w_hr,)
    options, masks = _options(weights, variant), _masks(variant, seed, h0, c0)
    if lengths is not None:
        # Before the first step, not after it: `where` keeps a NaN out of the values but not out of the gradients.
        x = x.masked_fill(padding(lengths, T), 0)
    border = None if resets is None else borders(resets, lengths, reverse=reverse)[..., None]  # [T, B, 1]
    state = tuple(s.clone() for s in (h0, c0) if s is not None)
    change_at = None if changes is None else changes(Start(T, state, lengths, border, reverse))
    gates: list[Tensor] = [x] * T  # each [B, G*H]
    outputs: list[tuple[Tensor, ...]] = [()] * T  # what each step left: (h,) or (h, c), each [B, *]
    for t in reversed(range(T)) if reverse else range(T):
        before = state if border is None else tuple(s.masked_fill(border[t], 0) for s in state)
        of_step = masks(t)
        if change_at is not None:
            of_step["change"] = change_at(t, of_step)
        step = kind.step(x[t], *before, *weights[:4], *projection, **options, **of_step)
        new = (step.h, step.c) if kind.has_c else (step.h,)
        happened = [getattr(step, name) for name in gate_names(cell, variant)] if keep_gates else []
        if lengths is None:
            state = outputs[t] = new
        else:
            valid = (lengths > t)[:, None]  # [B, 1]
            state = tuple(torch.where(valid, n, s) for n, s in zip(new, state, strict=True))
            outputs[t] = tuple(torch.where(valid, n, 0) for n in new)
            happened = [torch.where(valid, gate, 0) for gate in happened]
        if happened:
            gates[t] = torch.cat(happened, dim=-1)
    # [T, B, P] and [T, B, H]
    sequences = [torch.stack(o) for o in zip(*outputs, strict=True)] if T else [s[None][:0] for s in state]
    h_seq, *c_seq = sequences
    h_n, *c_n = state
    result = Result(h_seq, c_seq[0], h_n, c_n[0]) if kind.has_c else Result(h_seq, None, h_n, None)
    if not keep_gates:
        return result, None
    return result, torch.stack(gates) if T else x.new_zeros(0, x.shape[1], weights.w_ih.shape[0])


def gate_names(cell: str, variant: Variant) -> tuple[str, ...]:
    """What the row blocks of the weights are; coupled gates have none for i."""
    names = CELLS[cell].gates
    return tuple(name for name in names if name != "i") if variant.coupled else names


def _options(weights: Weights, variant: Variant) -> dict[str, Any]:
    """The keyword arguments that every step of an LSTM's variant takes."""
    options: dict[str, Any] = {}
    if variant.coupled:
        options["coupled"] = True
    if variant.peephole:
        options["peephole"] = weights.peephole
    if variant.layer_norm:
        assert weights.norm_ih is not None and weights.norm_hh is not None and weights.norm_c is not None
        options["norms"] = Norms(weights.norm_ih, weights.norm_hh, weights.norm_c, weights.norm_c_bias)
    return options


def _masks(
    variant: Variant, seed: Tensor | None, h: Tensor, c: Tensor | None
) -> Callable[[int], dict[str, Any]]:
    """The keyword arguments of each step that stand for its masks, or for what eval has in their place."""
    p, on = (0.0 if seed is None else variant.recurrent_dropout), variant.recurrent_dropout_on
    always: dict[str, Any] = {}
    if p and on == "h":
        assert seed is not None
        always["drop_h"] = scales(p, seed, Stream.DROPOUT_H, 0, like=h)

    def zone(p: float, stream: Stream, t: int, state: Tensor | None) -> Tensor | float | None:
        if not p or state is None:
            return None
        return p if seed is None else events(p, seed, stream, t, *state.shape, device=state.device)

    def at(t: int) -> dict[str, Any]:
        masks = dict(always)
        if any(variant.zoneout):
            p_c, p_h = variant.zoneout
            masks["zoneout"] = (zone(p_c, Stream.ZONEOUT_C, t, c), zone(p_h, Stream.ZONEOUT_H, t, h))
        if p and on == "g" and seed is not None and c is not None:
            masks["drop_g"] = scales(p, seed, Stream.DROPOUT_G, t, like=c)
        return masks

    return at
