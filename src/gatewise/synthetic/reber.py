"""The embedded Reber grammar as an endless stream: the second symbol of a string returns as its last but one.

The Reber grammar is a walk through a small graph that writes a symbol at each edge; where two edges leave a node, both
are equally likely:

    B, then  T S* X  or  P T* V,  with the loops and crossings of `REBER`, then E        BTSSXXTVVE, BPVPXVVE, …

An embedded string is B, then T or P, then a whole Reber string, then the same T or P again, then E. The prediction of
that last T or P needs a memory of the first over the Reber string between them, 5 symbols or more, full of other Ts
and Ps. Strings are 9 symbols long at least and 12 on average. In the continual form they follow each other without a
mark, and a network's state is never reset.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory", section 5.1, experiment 1 (single strings);
    Gers, Schmidhuber & Cummins 2000, "Learning to forget: continual prediction with LSTM" (the stream).
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import UsageError

SYMBOLS = "BTPSXVE"
REBER = (  # the edges that leave each node: symbol, next node; a walk starts at node 0 and ends at node 7
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)


def _embedded() -> list[tuple[tuple[str, int], ...]]:
    """The graph of the stream. Node 0: before a string; 1: before its T or P; then two copies of the Reber graph, each
    with the node that writes its T or P again; the last node writes E and leads back to node 0."""
    last = 2 + 2 * (len(REBER) + 1)
    nodes: list[tuple[tuple[str, int], ...]] = [(("B", 1),), tuple(_COPIES.items())]
    for symbol, start in _COPIES.items():
        nodes += [tuple((s, start + to) for s, to in edges) for edges in REBER]
        nodes.append(((symbol, last),))
    return [*nodes, (("E", 0),)]


_COPIES = {"T": 2, "P": 2 + len(REBER) + 1}  # where each copy of the Reber graph begins
_REPEATS = [start + len(REBER) for start in _COPIES.values()]  # the nodes that write the T or P again
_NODES = _embedded()
# A node with one edge has it twice, so that a random bit chooses an edge of every node. Both [nodes, 2].
_WRITES = np.array([[SYMBOLS.index(edges[bit % len(edges)][0]) for bit in (0, 1)] for edges in _NODES])
_LEADS_TO = np.array([[edges[bit % len(edges)][1] for bit in (0, 1)] for edges in _NODES])


@dataclass(frozen=True)
class Window:
    """Some steps of several streams.

    Attributes:
        symbols: the symbol shown at each step, as its place in `SYMBOLS`, [T, B] int64.
        following: the symbol after it, [T, B] int64.
        legal: the symbols that the grammar allows after it, [T, B, 7] bool; one or two of them.
        boundary: True at the first symbol of each string, [T, B] bool.
        recalls: True where the following symbol is the T or P that repeats the string's second symbol, [T, B] bool.
    """

    symbols: Tensor
    following: Tensor
    legal: Tensor
    boundary: Tensor
    recalls: Tensor


class ReberStreams:
    """Endless streams of embedded Reber strings, side by side; each `read` goes on where the last one ended.

    Args:
        streams: B.
        generator: draws the walks; the same seed gives the same streams, however they are cut into windows.

    Raises:
        UsageError: fewer than 1 stream.
    """

    def __init__(self, streams: int, *, generator: torch.Generator) -> None:
        if streams < 1:
            raise UsageError(f"streams is {streams}; it must be 1 or more")
        self._generator = generator
        self._nodes = np.zeros(streams, np.int64)  # where each walk stands, one symbol ahead of what was read
        self._next, self._boundary = self._step()

    def read(self, steps: int) -> Window:
        """The next `steps` steps of all streams."""
        seen, nodes, boundary = [self._next], [], []
        for _ in range(steps):
            nodes.append(self._nodes)
            boundary.append(self._boundary)
            self._next, self._boundary = self._step()
            seen.append(self._next)
        symbols = torch.from_numpy(np.array(seen))  # [T + 1, B]
        at = np.array(nodes).reshape(steps, -1)  # [T, B], the nodes whose edges write what follows
        legal = torch.zeros(*at.shape, len(SYMBOLS), dtype=torch.bool)
        legal.scatter_(2, torch.from_numpy(_WRITES[at]), True)
        return Window(
            symbols[:-1],
            symbols[1:],
            legal,
            torch.from_numpy(np.array(boundary).reshape(at.shape)),
            torch.from_numpy(np.isin(at, _REPEATS)),
        )

    def _step(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Write one symbol in every stream, and say where it is the first of a string."""
        bits = torch.randint(2, self._nodes.shape, generator=self._generator).numpy()
        first = self._nodes == 0
        written = _WRITES[self._nodes, bits]
        self._nodes = _LEADS_TO[self._nodes, bits]
        return written, first


def whole_strings(count: int, *, generator: torch.Generator) -> tuple[Window, Tensor]:
    """`count` embedded Reber strings side by side, each from its beginning.

    Returns: a window of T steps, T the longest length; lengths [count] int64: the symbols of each string but its last,
        which is the last to be predicted. What a column shows from its length on belongs to no string.
    """
    streams = ReberStreams(count, generator=generator)
    parts = [streams.read(10)]
    while True:
        window = Window(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Window)))
        again = window.boundary.cumsum(0) > 1  # from the first symbol of the next string on
        if again.any(0).all():
            lengths = again.long().argmax(0) - 1
            longest = int(lengths.max())
            return Window(*(getattr(window, f.name)[:longest] for f in fields(Window))), lengths
        parts.append(streams.read(10))


def strings(count: int, *, generator: torch.Generator) -> list[str]:
    """`count` embedded Reber strings, as in "BTBPVVETE"."""
    stream, found, tail = ReberStreams(1, generator=generator), [], ""
    while len(found) < count:
        symbols = stream.read(100).symbols[:, 0].tolist()
        tail += "".join(SYMBOLS[k] for k in symbols)
        *whole, tail = tail.replace("EB", "E B").split()  # an E inside a string is followed by its T or P
        found += whole
    return found[:count]


def predicted(logits: Tensor, legal: Tensor) -> Tensor:
    """Where a prediction is right: every legal symbol scores higher than every other one.

    This is the criterion of Hochreiter & Schmidhuber 1997, section 5.1: the outputs of the possible next symbols are
    the most active ones.

    Shapes: logits [T, B, 7], legal [T, B, 7] bool; returns [T, B] bool.
    """
    least = logits.masked_fill(~legal, torch.inf).amin(-1)
    most = logits.masked_fill(legal, -torch.inf).amax(-1)
    return least > most


def until_first_error(right: Tensor) -> Tensor:
    """Symbols predicted before the first error of each stream: `right` [T, B] bool, returns [B]; T without an error."""
    return right.long().cumprod(0).sum(0)
