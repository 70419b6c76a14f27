"""The attentional decoder: writes a sequence, and looks at a memory before each token.

With Luong attention the recurrent layers never see what was read, so a whole sequence is one call of a fused kernel:
    s_t = recurrent(E[y_{t-1}], s_{t-1}),  c_t = attention(s_t),  r_t = tanh(W [s_t; c_t] + b).
With Bahdanau attention they do, and the steps run one by one:
    c_t = attention(s_{t-1}),  s_t = recurrent([E[y_{t-1}]; c_t], s_{t-1}),  r_t as above.
Either way the logits of y_t are E r_t + b' (tied; Press & Wolf 2017) or V r_t + b'.

Source: Luong, Pham & Manning 2015, section 3, without input feeding; Bahdanau, Cho & Bengio 2015, appendix A.2.2, with
    Luong's r_t in place of its maxout layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from gatewise.decoding.attention import ATTENTIONS, Memory
from gatewise.errors import UsageError
from gatewise.layers import Recurrent, Stack
from gatewise.layers.building import build_recurrent


class Decoding(NamedTuple):
    """Where a decoding stands: of K beams for each of B rows.

    Attributes:
        recurrent: the layers' own state, for K·B rows.
        memory: of the B rows; their beams share it.
    """

    recurrent: Any
    memory: Memory

    def select(self, beams: Tensor) -> Decoding:
        """The state whose beam k of row b is what was beam `beams[k, b]`; beams [K', B] int64."""
        B = beams.shape[1]

        def chosen(state: Tensor) -> Tensor:  # [L, K·B, H]
            L, _, H = state.shape
            index = beams[None, :, :, None].expand(L, -1, -1, H)
            return state.view(L, -1, B, H).gather(1, index).flatten(1, 2)

        return Decoding(_each(chosen, self.recurrent), self.memory)


class AttentionalDecoder(nn.Module):
    """Writes tokens of a vocabulary.

    Args:
        embedding: of the V tokens, [V, E]; may be shared with an encoder.
        hidden_size: H, units of a layer.
        memory_size: M, features of a memory's step.
        summary_size: features of what the first state is made from: tanh(W summary + b) for every h and c.
        cells, num_layers: as in `build_recurrent`; always one direction.
        attention: "luong" or "bahdanau".
        tied: use the embedding for the logits also.
        dropout: of embedded tokens, between layers, and of r_t.
        forget_bias: as in `build_recurrent`.

    Raises:
        UsageError: an unknown attention or cell.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        hidden_size: int,
        memory_size: int,
        summary_size: int,
        *,
        cells: Sequence[str] = ("lstm",),
        num_layers: int = 1,
        attention: str = "luong",
        tied: bool = True,
        dropout: float = 0.0,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise UsageError(f"attention is {attention!r}; it must be one of {', '.join(ATTENTIONS)}")
        V, E = embedding.weight.shape
        self.embedding = embedding
        self.feeds = attention == "bahdanau"
        self.dropout = dropout
        self.recurrent = build_recurrent(
            cells, E + (memory_size if self.feeds else 0), hidden_size, num_layers,
            dropout=dropout, forget_bias=forget_bias,
        )  # fmt: skip
        self.attention = ATTENTIONS[attention](hidden_size, memory_size)
        self.start = nn.Linear(summary_size, sum(_sizes(self.recurrent)))
        read = E if tied else hidden_size
        self.read = nn.Linear(hidden_size + memory_size, read)
        self.output = None if tied else nn.Linear(read, V, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(V))

    def begin(self, values: Tensor, lengths: Tensor, summary: Tensor) -> Decoding:
        """The state before the first token.

        Args:
            values: the memory, [S, B, M]; lengths: its steps, [B] int64.
            summary: [B, summary_size].
        """
        memory = self.attention.remember(values, lengths)
        pieces = torch.tanh(self.start(summary)).split(_sizes(self.recurrent), 1)
        return Decoding(_states(self.recurrent, iter([piece.contiguous() for piece in pieces])), memory)

    def forward(self, tokens: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
        """All steps of sequences whose tokens are known, for training.

        Args:
            tokens: what each step reads, [T, B] int64: the sequences from their begin token on, without the last one.

        Returns: what `logits` takes, [T, B, R], and the attention's weights, [T, B, S].
        """
        embedded = self._drop(self.embedding(tokens))
        if self.feeds:
            return self._step_by_step(embedded, decoding)
        states, _ = self.recurrent(embedded, decoding.recurrent)
        context, weights = self.attention(states, decoding.memory)
        return self._read(states, context), weights

    def logits(self, read: Tensor) -> Tensor:
        """[…, R] to [..., V]."""
        weight = self.embedding.weight if self.output is None else self.output.weight
        return linear(read, weight, self.output_bias)

    def step(self, tokens: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor, Decoding]:
        """One step of K beams a row.

        Args:
            tokens: [K, B] int64.

        Returns: logits [K, B, V], the attention's weights [K, B, S], and the state after it.
        """
        K, B = tokens.shape
        embedded = self._drop(self.embedding(tokens))  # [K, B, E]
        read, weights, state = self._step(embedded.flatten(0, 1), decoding, K, B)
        return self.logits(read), weights, Decoding(state, decoding.memory)

    def _step(self, embedded: Tensor, decoding: Decoding, K: int, B: int) -> tuple[Tensor, Tensor, Any]:
        """Embedded [K·B, E] to r [K, B, R], weights [K, B, S] and the layers' next state."""
        if self.feeds:
            before = _last_hidden(self.recurrent, decoding.recurrent).view(K, B, -1)
            context, weights = self.attention(before, decoding.memory)
            embedded = torch.cat((embedded, context.reshape(K * B, -1)), 1)
            hidden, state = self.recurrent.step(embedded, decoding.recurrent)
            return self._read(hidden.view(K, B, -1), context), weights, state
        hidden, state = self.recurrent.step(embedded, decoding.recurrent)
        hidden = hidden.view(K, B, -1)
        context, weights = self.attention(hidden, decoding.memory)
        return self._read(hidden, context), weights, state

    def _step_by_step(self, embedded: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
        reads, seen = [], []
        for row in embedded:
            read, weights, state = self._step(row, decoding, 1, len(row))
            decoding = Decoding(state, decoding.memory)
            reads.append(read)
            seen.append(weights)
        return torch.cat(reads), torch.cat(seen)

    def _read(self, states: Tensor, context: Tensor) -> Tensor:
        return self._drop(torch.tanh(self.read(torch.cat((states, context), -1))))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


def _members(recurrent: Recurrent | Stack) -> list[Recurrent]:
    return [*recurrent.layers] if isinstance(recurrent, Stack) else [recurrent]  # type: ignore[list-item]


def _sizes(recurrent: Recurrent | Stack) -> list[int]:
    """Features of every state of every layer, in the order in which `_states` takes them."""
    return [
        size
        for layer in _members(recurrent)
        for size in [layer.num_layers * layer.hidden_size] * (2 if layer.has_c else 1)
    ]


def _states(recurrent: Recurrent | Stack, pieces: Any) -> Any:
    """The layers' own state from one tensor [B, L·H] for each of its parts."""

    def native(layer: Recurrent) -> Any:
        parts = [
            next(pieces).unflatten(1, (layer.num_layers, -1)).transpose(0, 1)
            for _ in range(2 if layer.has_c else 1)
        ]
        return tuple(parts) if layer.has_c else parts[0]

    found = tuple(native(layer) for layer in _members(recurrent))
    return found if isinstance(recurrent, Stack) else found[0]


def _each(change: Callable[[Tensor], Tensor], state: Any) -> Any:
    if isinstance(state, Tensor):
        return change(state)
    return tuple(_each(change, part) for part in state)


def _last_hidden(recurrent: Recurrent | Stack, state: Any) -> Tensor:
    """h of the topmost layer, [N, H]."""
    top = state[-1] if isinstance(recurrent, Stack) else state
    return (top if isinstance(top, Tensor) else top[0])[-1]
