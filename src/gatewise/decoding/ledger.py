"""Why each token was written rather than its rival: what was read and what was written before, as a sum.

At step t the decoder has the state s_t and the context c_t, and reads r = tanh(z) from z = W [s_t; c_t] + b. With the
rows E_y and E_u of the token and its rival in the output,
    margin = logit_y - logit_u = q·z + Δbias,   q = (E_y - E_u)⊙tanh(z)/z,
exactly; so q W_c is what the context is worth, and q W_s what the state is. The state of the top layer is a sum of what
each step wrote (`gatewise.memory`), and the context one of the steps of the memory. Gates, attention and q stay as they
were: the sums say what the margin is made of, and not what it would be with another word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.decoding.decoder import AttentionalDecoder, Decoding
from gatewise.memory import LayerTrace, Trace, ledger, push_ledger, record
from gatewise.memory.push import reach, tanh_ratio

AT_ONCE = 10_000_000
"""Numbers of one gate over the steps of a trace, for all tokens that are looked at together."""


class DecoderPass(NamedTuple):
    """One sequence of T steps, all its tokens known.

    Attributes:
        top: the uppermost layer, with batch 1.
        attention: [T, S]; `states` [T, H] and `context` [T, M], what each token was read from.
        logits: [T, V] float64.
    """

    top: LayerTrace
    attention: Tensor
    states: Tensor
    context: Tensor
    logits: Tensor


class Margins(NamedTuple):
    """Logits of T tokens over those of their rivals: value = of_state·s_t + of_context·c_t + bias; all float64.

    Shape: value and bias [T], of_state [T, H], of_context [T, M].
    """

    value: Tensor
    of_state: Tensor
    of_context: Tensor
    bias: Tensor


class WrittenLedger(NamedTuple):
    """What the decoder's own writes did to T margins; the write of step τ is that of the token which step τ read.

    Attributes:
        push: [T, T], row t of them up to step t, zero after it. With `initial` they sum to of_state·s_t.
        held: [T, T], the share of the memory at step t that each write still has; with `initial_held` [T] a row is 1.
        of_initial: what a number of the first memory (c of an LSTM, h of a GRU) is worth, [T, H].
        initial: what the first memory pushed, [T].
    """

    push: Tensor
    held: Tensor
    initial_held: Tensor
    of_initial: Tensor
    initial: Tensor


@torch.no_grad()
def open_decoder(decoder: AttentionalDecoder, start: Decoding, tokens: Tensor) -> DecoderPass:
    """A pass of one row, recorded.

    Args:
        start: as `AttentionalDecoder.begin` gives it, of one row.
        tokens: what each step reads, [T] int64: the begin token, and all that were written but the last.
    """
    _, attention = decoder(tokens[:, None], start)  # [T, 1, S]
    context = attention[:, 0].to(start.memory.values.dtype) @ start.memory.values[:, 0]
    inputs = decoder.embedding(tokens)[:, None]
    if decoder.feeds:  # what the steps took one by one, now known
        inputs = torch.cat((inputs, context[:, None]), 2)
    with record(decoder.recurrent) as trace:
        states, _ = decoder.recurrent(inputs, start.recurrent)
    read = torch.tanh(decoder.read(torch.cat((states[:, 0], context), 1)))
    return DecoderPass(
        top_layer(trace)[0], attention[:, 0], states[:, 0], context, decoder.logits(read).double()
    )


@torch.no_grad()
def margins(decoder: AttentionalDecoder, seen: DecoderPass, written: Tensor, rivals: Tensor) -> Margins:
    """The margins of written tokens [T] over their rivals [T]."""
    rows = decoder.embedding.weight if decoder.output is None else decoder.output.weight
    weight, bias = decoder.read.weight.double(), decoder.read.bias.double()
    z = torch.cat((seen.states, seen.context), 1).double() @ weight.t() + bias  # [T, R]
    q = (rows[written].double() - rows[rivals].double()) * tanh_ratio(z)
    worth = q @ weight  # [T, H + M]
    size = seen.states.shape[1]
    places = torch.arange(len(written), device=written.device)
    return Margins(
        seen.logits[places, written] - seen.logits[places, rivals],
        worth[:, :size],
        worth[:, size:],
        q @ bias + (decoder.output_bias[written] - decoder.output_bias[rivals]).double(),
    )


@torch.no_grad()
def written_ledger(top: LayerTrace, of_state: Tensor) -> WrittenLedger:
    """The parts of of_state·s_t [T, H] at each step t of a recorded layer of one row.

    Raises:
        UsageError: a plain RNN, whose state is no sum of what was written.
    """
    steps = len(top.h)
    parts = []
    for rows, some in in_rows(top, steps, of_state.device):
        reading = torch.eye(steps, dtype=torch.float64, device=of_state.device)[:, rows]  # [T, rows]
        pushed = push_ledger(some, reading, of_state[rows])
        stored = ledger(some, rows)
        masses = torch.cat((stored.contributions, stored.initial[None])).double().abs().sum(2).t()
        shares = masses / masses.sum(1, keepdim=True).clamp(
            min=torch.finfo(torch.float64).tiny
        )  # [rows, T + 1]
        of_initial = reach(some, reading, of_state[rows]).initial
        parts.append(
            (pushed.push.double().t(), shares[:, :-1], shares[:, -1], of_initial, pushed.initial.double())
        )
    return WrittenLedger(*(torch.cat(part) for part in zip(*parts, strict=True)))


def in_rows(lt: LayerTrace, count: int, device: torch.device) -> Iterator[tuple[Tensor, LayerTrace]]:
    """Places 0 … count - 1, as many together as there is room for, and the trace of one row with a copy for each.

    The copies are views, and let every token have its own question in one call.
    """
    at_once = max(1, AT_ONCE // max(1, lt.h[:, 0].numel()))
    for rows in torch.arange(count, device=device).split(at_once):
        yield rows, _copies(lt, len(rows))


def top_layer(trace: Trace) -> list[LayerTrace]:
    """The uppermost layer of a recording of one call, a trace for each direction."""
    layers = trace.layers()
    last = layers[-1]
    return [lt for lt in layers if (lt.path, lt.layer) == (last.path, last.layer)]


def _copies(lt: LayerTrace, count: int) -> LayerTrace:
    def wide(steps: Tensor) -> Tensor:  # [T, 1, H]
        return steps.expand(-1, count, -1)

    return replace(
        lt,
        gates={name: wide(gate) for name, gate in lt.gates.items()},
        h=wide(lt.h),
        h0=lt.h0.expand(count, -1),
        c=None if lt.c is None else wide(lt.c),
        c0=None if lt.c0 is None else lt.c0.expand(count, -1),
        lengths=None if lt.lengths is None else lt.lengths.expand(count),
    )
