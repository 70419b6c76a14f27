"""Truncated back-propagation through time: streams read in windows, and a state carried from window to window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import RunError, UsageError
from gatewise.training.sums import Sum

State = Any
"""Tensors, or None, in tuples, lists and dicts: a recurrent layer's state as it comes."""


@dataclass(frozen=True)
class Window:
    """Some steps of parallel streams, to be read from the state that the window before left.

    Args:
        inputs: tokens [T, B].
        targets: the token that follows each, [T, B].
    """

    inputs: Tensor
    targets: Tensor

    def shard(self, rank: int, world: int) -> Window:
        """The streams of one of `world` processes: every `world`-th column, the same ones in every window."""
        return Window(self.inputs[:, rank::world], self.targets[:, rank::world])


class TokenStreams(Sequence[Window]):
    """A text of N tokens as B streams read side by side, in windows of at most T steps.

    The text is cut into B pieces of N // B tokens; what is left over at the end is not used. Stream b is piece b, and
    the target of each token is the next one of its piece, so that ⌈(N // B - 1) / T⌉ windows follow one another, the
    last with the steps that remain (as in Zaremba et al. 2014).

    Args:
        tokens: [N], any integer dtype.
        streams: B, at least 1.
        steps: T, at least 1.

    Raises:
        UsageError: an argument out of its range, or fewer than two tokens for each stream.
    """

    def __init__(self, tokens: Tensor, streams: int, steps: int):
        if tokens.dim() != 1:
            raise UsageError(f"tokens has the shape {list(tokens.shape)}; it must be [N]")
        if streams < 1 or steps < 1:
            raise UsageError(f"streams is {streams} and steps is {steps}; both must be at least 1")
        if len(tokens) < 2 * streams:
            raise UsageError(f"{len(tokens)} tokens are too few for {streams} streams; each needs at least 2")
        length = len(tokens) // streams
        self.columns = tokens[: length * streams].view(streams, length).t()  # [N // B, B]
        self.steps = steps

    def __len__(self) -> int:
        return -(-(len(self.columns) - 1) // self.steps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start = index % len(self) * self.steps
        end = min(start + self.steps, len(self.columns) - 1)
        return Window(self.columns[start:end], self.columns[start + 1 : end + 1])


class Carried:
    """A loss that hands its state on from batch to batch; `fit` takes it wherever it takes a loss.

    `fit` resets the state when an epoch begins and keeps it in its checkpoints. No gradient flows from a batch into
    the one before.

    Args:
        loss: of a model, a batch and the state that the last batch left (None at an epoch's beginning), the sum and
            the new state.

    Example:
        def loss(model, window, state):
            logits, state = model(window.inputs, state)
            total = cross_entropy(logits.flatten(0, 1), window.targets.flatten(), reduction="sum")
            return Sum(total, window.targets.numel()), state

        streams = TokenStreams(tokens, streams=20, steps=35)
        fit(model, lambda epoch: streams, Carried(loss), options)
    """

    def __init__(self, loss: Callable[[nn.Module, Any, State], tuple[Sum, State]]):
        self.loss = loss
        self.state: State = None

    def __call__(self, model: nn.Module, batch: Any) -> Sum:
        found, state = self.loss(model, batch, self.state)
        self.state = _mapped(state, lambda part: part.detach().contiguous())
        return found

    def reset(self) -> None:
        """Forget the state."""
        self.state = None

    def pack(self) -> tuple[list[Tensor], Any]:
        """The state's tensors on the CPU, and as JSON its structure, in which a number stands for each."""
        tensors: list[Tensor] = []
        return tensors, _packed(self.state, tensors)

    def unpack(self, tensors: Sequence[Tensor], structure: Any, device: torch.device) -> None:
        """Take up a state as `pack` gave it.

        Raises:
            RunError: tensors and structure do not fit each other.
        """
        self.state = _unpacked(structure, tensors, device)


def _mapped(state: State, change: Callable[[Tensor], Tensor]) -> State:
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {name: _mapped(part, change) for name, part in state.items()}
    if isinstance(state, tuple | list):
        parts = [_mapped(part, change) for part in state]
        return parts if isinstance(state, list) else tuple(parts)
    if state is None:
        return None
    raise UsageError(f"a carried state holds a {type(state).__name__}; it must be made of tensors")


def _packed(state: State, tensors: list[Tensor]) -> Any:
    """JSON in which the number of each tensor stands in its place; the tensors go into `tensors`."""
    if isinstance(state, Tensor):
        tensors.append(state.detach().cpu())
        return len(tensors) - 1
    if isinstance(state, dict):
        return {"dict": {name: _packed(part, tensors) for name, part in state.items()}}
    if isinstance(state, tuple | list):
        kind = "list" if isinstance(state, list) else "tuple"
        return {kind: [_packed(part, tensors) for part in state]}
    return None


def _unpacked(structure: Any, tensors: Sequence[Tensor], device: torch.device) -> State:
    if structure is None:
        return None
    if isinstance(structure, int) and not isinstance(structure, bool) and 0 <= structure < len(tensors):
        return tensors[structure].to(device, copy=True)  # in memory of its own, aligned as torch aligns it
    match structure:
        case {"dict": dict(parts)}:
            return {name: _unpacked(part, tensors, device) for name, part in parts.items()}
        case {"tuple": list(parts)}:
            return tuple(_unpacked(part, tensors, device) for part in parts)
        case {"list": list(parts)}:
            return [_unpacked(part, tensors, device) for part in parts]
    raise RunError(f"the carried state of the checkpoint is not readable at {str(structure)[:80]!r}")
