"""How well a language model predicts a text: every token once, sums and counts in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatewise.errors import DataError
from gatewise.tasks.generate.model import LanguageModel, State
from gatewise.tasks.generate.output import token_nll
from gatewise.training.distributed import Processes

TOKENS_AT_ONCE = 2048
"""Of a call of the network."""
WINDOWS_AT_ONCE = 32
_ONE = Processes()


@dataclass(frozen=True)
class NLL:
    """Negative log likelihood of some tokens.

    Args:
        total: in nats.
        count: tokens that were predicted.
    """

    total: float
    count: int

    @property
    def loss(self) -> float:
        """Nats a token."""
        return self.total / self.count

    @property
    def perplexity(self) -> float:
        """exp of the loss; infinite where that is beyond float64."""
        return math.exp(self.loss) if self.loss < 709 else math.inf


def measure_carried(
    model: LanguageModel,
    tokens: Tensor,
    *,
    streams: int = 1,
    warm_up: int = 0,
    processes: Processes = _ONE,
) -> NLL:
    """All tokens of a text but the first, each predicted once, with the state carried on from token to token.

    With one stream this is exactly the likelihood of the text. Several streams are faster: each reads a piece of the
    text, from the state that the `warm_up` tokens before the piece leave behind (not more than a piece has).

    Args:
        model: in evaluation mode.
        tokens: [N], at least 2.
        streams: pieces that are read side by side; not more than there are predictions.
        processes: each reads its share of the streams; the result is the same in all.

    Raises:
        DataError: fewer than two tokens.
    """
    n = check_predictions(tokens)
    length = -(-n // min(streams, n))
    starts = range(0, n, length)
    own = processes.shard(starts)
    return _summed(_carried(model, tokens, own, length, min(warm_up, length)) if own else (0.0, 0), processes)


def measure_windows(model: LanguageModel, tokens: Tensor, window: int, *, processes: Processes = _ONE) -> NLL:
    """All tokens of a text but the first, each predicted once, from windows of `window` tokens that begin with a zero
    state: the mean over the windows of a model whose context is bounded, as nanoGPT estimates it from random ones.

    Args:
        model: in evaluation mode.
        tokens: [N], at least 2.
        window: tokens that a window reads, at least 1; the last window has what is left.

    Raises:
        DataError: fewer than two tokens.
    """
    n = check_predictions(tokens)
    own = processes.shard(range(0, n, window))
    total, count = 0.0, 0
    for at in range(0, len(own), WINDOWS_AT_ONCE):
        part = _carried(model, tokens, own[at : at + WINDOWS_AT_ONCE], window, 0)
        total, count = total + part[0], count + part[1]
    return _summed((total, count), processes)


def token_losses(model: LanguageModel, tokens: Tensor, window: int = 0) -> Tensor:
    """-log p of every token but the first, in nats, [N - 1] float64: what `measure_carried` with one stream sums, or
    with a window `measure_windows`.

    Raises:
        DataError: fewer than two tokens.
    """
    n = check_predictions(tokens)
    length = window or n
    found = torch.empty(n, dtype=torch.float64)
    starts = range(0, n, length)
    for at in range(0, len(starts), WINDOWS_AT_ONCE):
        for places, losses in _losses(model, tokens, starts[at : at + WINDOWS_AT_ONCE], length, 0):
            found[places - 1] = losses
    return found


def check_predictions(tokens: Tensor) -> int:
    """How many tokens of a text [N] are predicted; DataError when there are none."""
    if len(tokens) < 2:
        raise DataError(
            f"the text has {len(tokens)} tokens; 2 at least are needed, for the first is not predicted"
        )
    return len(tokens) - 1


def _summed(part: tuple[float, int], processes: Processes) -> NLL:
    total, count = processes.sum([part[0], part[1]])
    return NLL(float(total), int(count))


def _carried(
    model: LanguageModel, tokens: Tensor, starts: Sequence[int], length: int, warm_up: int
) -> tuple[float, int]:
    """Sum and count over the pieces that begin at `starts` and predict `length` tokens each, or what is left."""
    total, count = 0.0, 0
    for _, losses in _losses(model, tokens, starts, length, warm_up):
        total += losses.sum().item()
        count += len(losses)
    return total, count


@torch.no_grad()
def _losses(
    model: LanguageModel, tokens: Tensor, starts: Sequence[int], length: int, warm_up: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same, some steps at a time: places of tokens in the text, and -log p of each, float64 on the CPU."""
    device = model.embedding.device
    first = torch.tensor(list(starts))
    steps = max(1, TOKENS_AT_ONCE // len(first))
    state: State | None = None
    if warm_up and any(starts):
        for at in range(-warm_up, 0, steps):
            ids = _columns(tokens, first, at, min(at + steps, 0))
            _, _, state = model.hidden(ids.to(device), state)
        state = _zeroed(state, (first == 0).to(device))  # before the text there is nothing to read
    for at in range(0, length, steps):
        end = min(at + steps, length)
        h, _, state = model.hidden(_columns(tokens, first, at, end).to(device), state)
        targets = _columns(tokens, first, at + 1, end + 1).to(device)
        losses = token_nll(h.flatten(0, 1), model.decoder, model.output_bias, targets.flatten())
        places = (first + torch.arange(at + 1, end + 1).unsqueeze(1)).flatten()
        inside = places < len(tokens)
        yield places[inside], losses.cpu().double()[inside]


def _columns(tokens: Tensor, first: Tensor, start: int, end: int) -> Tensor:
    """Tokens first + start … first + end - 1 of each stream, [T, B]; where there are none, any token."""
    places = first + torch.arange(start, end).unsqueeze(1)
    return tokens[places.clamp(0, len(tokens) - 1)]


def _zeroed(state: Any, rows: Tensor) -> Any:
    """A state of layers with the rows [B] at zero that the mask names."""
    if isinstance(state, Tensor):
        return state.masked_fill(rows.unsqueeze(-1), 0.0)
    return tuple(_zeroed(part, rows) for part in state)
