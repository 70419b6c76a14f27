"""A whole sequence at speed: one layer, one direction, any backend."""

from contextlib import nullcontext

import torch
from torch import Tensor

from gatewise.cells import PLAIN, Variant
from gatewise.errors import UsageError
from gatewise.kernels import native, operator
from gatewise.kernels.naive import Changes, unroll_with_gates
from gatewise.kernels.operator import needs_gradients
from gatewise.kernels.random_bits import Stream, scales
from gatewise.kernels.registry import (
    Call,
    Choice,
    backend,
    choose,
    describe,
    forced,
    in_forward_mode,
    pick,
)
from gatewise.kernels.replay import Replay, replay
from gatewise.kernels.weights import Result, Weights

__all__ = [
    "Call",
    "Changes",
    "Choice",
    "Replay",
    "Result",
    "Weights",
    "autocast_dtype",
    "backend",
    "choose",
    "describe",
    "dropout_mask",
    "dropped",
    "in_forward_mode",
    "needs_gradients",
    "recurrence",
    "replay",
]


def autocast_dtype(device: str) -> torch.dtype | None:
    """What autocast casts to on this kind of device, None where it is off or does not exist."""
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def recurrence(
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
    keep_c: bool = False,
    keep_gates: bool = False,
    recompute: bool = False,
    changes: Changes | None = None,
) -> Result:
    """Run one layer in one direction over a sequence, with the backend that the registry chooses.

    Args:
        cell: a name of `gatewise.cells.CELLS`.
        x: input [T, B, I].
        h0: initial hidden state [B, P].
        c0: initial cell state [B, H] for an LSTM, else None.
        weights: of this layer and direction.
        lengths: [B] int64 on x's device, 0 <= length <= T; None when all rows have T steps. Output rows beyond a
            length are zero and the final state is the state at the length, for length 0 the initial state.
        variant: the layer's variants; `weights` has their parameters.
        resets: bool [T, B] on x's device; True where a new segment begins. No state and no gradient crosses its
            border, in neither direction; at t = 0 that is the initial state's border in a forward pass.
        seed: of the masks of a random variant in training, 0-dimensional int64 on the CPU, 0 <= seed < 2^62. None in
            eval, where dropout does nothing and zoneout takes its expectation.
        reverse: run each row from its own last step to its first; outputs stand at their own time index.
        keep_c: return c_seq, with a gradient; else it may be None.
        keep_gates: return the gates, without a gradient, and c_seq, where the backend has them in memory (PyTorch's
            own kernels have not; a plain RNN's gate is h). Results and gradients stay the same, bit for bit. Not in
            compiled code.
        recompute: keep no gates for the backward pass, which then runs the forward pass once more.
        changes: what to change in each step; the definition then runs, and its gates have gradients.

    Returns: h_seq [T, B, P], c_seq [T, B, H] or None, h_n [B, P], c_n [B, H] or None, gates [T, B, G*H] or None.

    Raises:
        UsageError: dtypes differ; the cell has not this variant; a forced backend cannot run the call.
    """
    variant.check(cell, projected=weights.w_hr is not None)
    dtype = autocast_dtype(x.device.type)
    if dtype is not None:
        x, h0, weights = x.to(dtype), h0.to(dtype), weights.to(dtype)
        c0 = None if c0 is None else c0.to(dtype)
    for name, tensor in (("x", x), ("h0", h0), ("c0", c0)):
        if tensor is not None and tensor.dtype != weights.w_ih.dtype:
            raise UsageError(f"{name} is {tensor.dtype}; this layer's weights are {weights.w_ih.dtype}")
    with nullcontext() if dtype is None else torch.autocast(x.device.type, enabled=False):
        weights = dropped(weights, variant, seed)
        train = needs_gradients(x, h0, c0, weights)
        wanted = forced()
        if changes is not None:
            if wanted not in ("", "naive"):
                raise UsageError(f"the backend {wanted!r} runs no changed steps; 'naive' does")
            result, gates = unroll_with_gates(
                cell, x, h0, c0, weights, lengths, variant=variant.in_steps(seed is not None), resets=resets,
                seed=seed, reverse=reverse, keep_gates=keep_gates and not cell.startswith("rnn"), changes=changes,
            )  # fmt: skip
            return result._replace(gates=gates)
        if not torch.compiler.is_compiling():
            steps = variant.in_steps(seed is not None)
            call = describe(
                cell, steps, x, weights, ragged=lengths is not None, resets=resets is not None, train=train,
                tangents=in_forward_mode(),
            )  # fmt: skip
            wanted = pick(call, wanted)
            if wanted == "naive":
                result, gates = unroll_with_gates(
                    cell, x, h0, c0, weights, lengths, variant=steps, resets=resets, seed=seed,
                    reverse=reverse, keep_gates=keep_gates and not cell.startswith("rnn"),
                )  # fmt: skip
                return result._replace(gates=None if gates is None else gates.detach())
        return operator.run(
            cell, x, h0, c0, weights, lengths, variant=variant, resets=resets, seed=seed, reverse=reverse,
            keep_c=keep_c, keep_gates=keep_gates and wanted == "native",
            train=train, recompute=recompute, backend=wanted,
        )  # fmt: skip


def dropped(weights: Weights, variant: Variant, seed: Tensor | None) -> Weights:
    """The weights that a run with this seed reads: under dropout on weights, w_hh with its mask."""
    p = variant.recurrent_dropout
    if seed is None or not p or variant.recurrent_dropout_on != "weights":
        return weights
    return weights._replace(w_hh=weights.w_hh * dropout_mask(p, seed, weights.w_hh))


def dropout_mask(p: float, seed: Tensor, like: Tensor) -> Tensor:
    """A mask of dropout in the shape [rows, units] and dtype of `like`: 0 with probability p, else 1 / (1 - p).

    The mask of `random_bits.scales` with the stream of weights, and much faster than torch draws one where the native
    generator can be used.

    Args:
        seed: 0-dimensional int64, 0 <= seed < 2^62.
    """
    if _draws_natively(like):
        return native.drop_weights(p, seed, like)
    return scales(p, seed, Stream.WEIGHTS, 0, like=like)


def _draws_natively(like: Tensor) -> bool:
    """Whether a mask for this tensor comes from the native generator; the definition draws its own."""
    if operator.dispatched(like) or forced() == "naive" or not native.available():
        return False
    return like.is_cpu and like.dtype in (torch.float32, torch.bfloat16)
