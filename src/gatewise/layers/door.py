"""The door of a layer: every form of input in, time-first tensors inside, the caller's form out."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise.errors import UsageError, UsageTypeError
from gatewise.kernels import autocast_dtype
from gatewise.kernels.ragged import check_range


class Batch(NamedTuple):
    """What the layer works on.

    Shape: x [T, B, I]; each state [L*D, B, *]; lengths [B] int64 and resets [T, B] bool, on x's device, or None.
    """

    x: Tensor
    states: tuple[Tensor, ...]
    lengths: Tensor | None
    resets: Tensor | None
    unbatched: bool
    packed: PackedSequence | None


@dataclass(frozen=True)
class Door:
    """Checks and reshapes what a layer is called with.

    Attributes:
        input_size: the features that x must have.
        state_sizes: the features of each state, (P,) or (P, H).
        passes: L*D, layers times directions.
        batch_first: whether x and the output are [B, T, *].
    """

    input_size: int
    state_sizes: tuple[int, ...]
    passes: int
    batch_first: bool

    def enter(
        self, x: Tensor | PackedSequence, hx: Any = None, lengths: Any = None, resets: Any = None
    ) -> Batch:
        packed = x if isinstance(x, PackedSequence) else None
        unbatched = False
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise UsageError("x is a PackedSequence, which has its own lengths; lengths= must be None")
            if resets is not None:
                raise UsageError(
                    "x is a PackedSequence, which takes no resets=; give a padded x and lengths="
                )
            # Without its indices: rows stay in the packed, sorted order until `leave`.
            x, lengths = pad_packed_sequence(PackedSequence(x.data, x.batch_sizes))
        else:
            if x.dim() not in (2, 3):
                raise UsageError(f"x has {x.dim()} dimensions; a layer takes 3, or 2 without a batch")
            unbatched = x.dim() == 2
            x = x[:, None] if unbatched else x.transpose(0, 1) if self.batch_first else x
        if x.shape[-1] != self.input_size:
            raise UsageError(
                f"x has {x.shape[-1]} features; this layer was built with input_size={self.input_size}"
            )
        T, B = x.shape[:2]
        if unbatched and lengths is not None:
            lengths = torch.as_tensor(lengths).reshape(-1)
        lengths = None if lengths is None else _check_lengths(lengths, T, B, x.device)
        resets = None if resets is None else self._resets(resets, x, unbatched)
        states = self._states(hx, x, unbatched)
        if packed is not None and packed.sorted_indices is not None:
            states = tuple(s.index_select(1, packed.sorted_indices) for s in states)
        return Batch(x, states, lengths, resets, unbatched, packed)

    def leave(self, batch: Batch, output: Tensor, states: tuple[Tensor, ...]) -> tuple[Any, Any]:
        """output [T, B, *] and states [L*D, B, *] in the caller's form."""
        result: Any = output
        if batch.packed is not None:
            assert batch.lengths is not None
            _, sizes, order, inverse = batch.packed
            data = pack_padded_sequence(output, batch.lengths.cpu()).data
            result = PackedSequence(data, sizes, order, inverse)
            if inverse is not None:
                states = tuple(s.index_select(1, inverse) for s in states)
        elif batch.unbatched:
            result = output.squeeze(1)
            states = tuple(s.squeeze(1) for s in states)
        elif self.batch_first:
            result = output.transpose(0, 1)
        return result, states[0] if len(states) == 1 else states

    def _resets(self, resets: Any, x: Tensor, unbatched: bool) -> Tensor:
        """`resets` in the form of x, as [T, B]."""
        resets = torch.as_tensor(resets)
        T, B = x.shape[:2]
        expected = (T,) if unbatched else (B, T) if self.batch_first else (T, B)
        if resets.dtype != torch.bool:
            raise UsageError(f"resets are {resets.dtype}; they say where a segment begins, so torch.bool")
        if tuple(resets.shape) != expected:
            raise UsageError(f"resets have shape {tuple(resets.shape)}; with this x they must be {expected}")
        resets = resets.to(x.device)
        return resets[:, None] if unbatched else resets.transpose(0, 1) if self.batch_first else resets

    def _states(self, hx: Any, x: Tensor, unbatched: bool) -> tuple[Tensor, ...]:
        B = x.shape[1]
        if hx is None:
            dtype = autocast_dtype(x.device.type) or x.dtype
            return tuple(
                torch.zeros(self.passes, B, size, dtype=dtype, device=x.device) for size in self.state_sizes
            )
        given = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        if len(given) != len(self.state_sizes):
            wanted = "(h_0, c_0)" if len(self.state_sizes) == 2 else "h_0"
            raise UsageError(f"hx holds {len(given)} states; this layer takes {wanted}")
        states: list[Tensor] = []
        for name, state, size in zip(("h_0", "c_0"), given, self.state_sizes, strict=False):
            if not isinstance(state, Tensor):
                raise UsageTypeError(f"{name} is {state!r}; it must be a tensor (hx=None stands for zeros)")
            expected = (self.passes, size) if unbatched else (self.passes, B, size)
            if tuple(state.shape) != expected:
                raise UsageError(f"{name} has shape {tuple(state.shape)}; with this x it must be {expected}")
            states.append(state[:, None] if unbatched else state)
        return tuple(states)


def _check_lengths(lengths: Any, T: int, B: int, device: torch.device) -> Tensor:
    try:
        lengths = torch.as_tensor(lengths, dtype=torch.int64) if B == 0 else torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"lengths is {lengths!r}; it is a tensor or a list of {B} whole numbers") from None
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise UsageError(f"lengths are {lengths.dtype}; they are counts of steps, so an integer type")
    if tuple(lengths.shape) != (B,):
        raise UsageError(f"lengths have shape {tuple(lengths.shape)}; x has {B} rows, so they must be ({B},)")
    if not torch.compiler.is_compiling():  # a graph cannot read values: there the operator checks them
        check_range(lengths, T)
    return lengths.to(device=device, dtype=torch.int64)
