"""Noise-free long lags: a symbol x or y near the beginning returns as the last one, after many others.

Three tasks, each with its own filling between x or y and its return:

    regular (2a): x or y, then a1, a2, … a(p-1), always the same; then x or y is to be named.
    irregular (2b): as regular, but p - 1 symbols drawn from a1 … a(p-1).
    long (2c): b, then x or y, then q symbols or more drawn from a1 … ap, then e; then x or y is to be named. After the
        first q, each step ends the filling with a chance of 1/10, so that a sequence has q + 14 symbols on average.

The last symbol is what is asked, so x holds all symbols but that one, and the answer is wanted at its last step. In
the paper's tasks 2a and 2b the net predicts every symbol; here the one that needs memory is asked alone, as in 2c.

The paper's criterion: the absolute error of both outputs is below 0.25 (2c: 0.2) in 10,000 sequences in a row.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory", section 5.2, experiments 2a, 2b and 2c.
"""

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.synthetic.sequences import Sequences, shown

END = 0.1
"""The chance that the filling of a long sequence ends at a step after its first q."""


def regular(count: int, p: int, *, generator: torch.Generator) -> Sequences:
    """`count` sequences of task 2a, each of the two with an even chance.

    Returns: x [p, count, p + 1] float32, one-hot (a1 … a(p-1), x, y), lengths p, targets [count] int64, 0 for x.

    Raises:
        UsageError: p below 2.
    """
    _check(p)
    return _short(torch.arange(p - 1)[:, None].expand(p - 1, count), p, generator)


def irregular(count: int, p: int, *, generator: torch.Generator) -> Sequences:
    """`count` sequences of task 2b; as `regular`, with a filling drawn at random."""
    _check(p)
    return _short(torch.randint(p - 1, (p - 1, count), generator=generator), p, generator)


def long(count: int, q: int, p: int, *, generator: torch.Generator, one_hot: bool = True) -> Sequences:
    """`count` sequences of task 2c: the lag is q + 1 or more, and p symbols distract from it.

    Returns: x [T, count, p + 4] float32, one-hot (a1 … ap, e, b, x, y), or the symbols [T, count] int64 themselves, any
        beyond a length; T is the longest of the lengths, each q + 3 or more; targets [count] int64, 0 for x.

    Raises:
        UsageError: q or p below 1.
    """
    if q < 1 or p < 1:
        raise UsageError(f"q is {q} and p is {p}; both must be 1 or more")
    e, b, x = p, p + 1, p + 2
    more = torch.empty(count).geometric_(END, generator=generator).long() - 1  # 0 with a chance of 1/10
    lengths = q + 3 + more
    targets = torch.randint(2, (count,), generator=generator)
    symbols = torch.randint(p, (int(lengths.max()), count), generator=generator)
    symbols[0] = b
    symbols[1] = x + targets
    symbols[lengths - 1, torch.arange(count)] = e
    return Sequences(shown(symbols, p + 4, lengths) if one_hot else symbols, lengths, targets)


def _short(filling: Tensor, p: int, generator: torch.Generator) -> Sequences:
    """x or y before a filling [p - 1, B] of symbols below p - 1."""
    targets = torch.randint(2, filling.shape[1:], generator=generator)
    symbols = torch.cat((p - 1 + targets[None], filling))
    lengths = torch.full_like(targets, p)
    return Sequences(shown(symbols, p + 1, lengths), lengths, targets)


def _check(p: int) -> None:
    if p < 2:
        raise UsageError(f"p is {p}; it must be 2 or more")
