"""Temporal order: which of X and Y came first, second (and third), among a hundred symbols that mean nothing.

A sequence begins with E, ends with B after 100 to 110 symbols in all, and is drawn from a, b, c, d between them, but
for two (three) places where X or Y stands: at 10 to 20 and 50 to 60 (10 to 20, 33 to 43 and 66 to 76), counted from the
E, which has place 0. What is asked at the B is which of the 4 (8) orders it was: XX, XY, YX, YY (XXX, XXY, … YYY).

The paper's criterion: a sequence is right when the absolute error of every output at its end is below 0.3; a training
ends when the mean error is below 0.1 and the 2,000 latest sequences were right. Then 2,560 others are the test.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory", section 5.6, experiments 6a and 6b.
"""

import torch

from gatewise.errors import UsageError
from gatewise.synthetic.sequences import Sequences, shown

SYMBOLS = "EBabcdXY"
SHORTEST, LONGEST = 100, 110
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last place of each relevant symbol, by their number."""


def draw(count: int, relevant: int, *, generator: torch.Generator) -> Sequences:
    """`count` sequences with `relevant` symbols X or Y.

    Returns: x [110, count, 8] float32, one-hot in the order of `SYMBOLS`, lengths, and targets [count] int64: the
        relevant symbols read as a binary number, X for 0 and Y for 1, the first one highest.

    Raises:
        UsageError: relevant is neither 2 nor 3.
    """
    if relevant not in PLACES:
        raise UsageError(f"relevant is {relevant}; it must be 2 or 3")
    at = torch.arange(count)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (count,), generator=generator)
    symbols = torch.randint(2, 6, (LONGEST, count), generator=generator)  # a, b, c, d
    targets = torch.zeros(count, dtype=torch.int64)
    for first, last in PLACES[relevant]:
        place = torch.randint(first, last + 1, (count,), generator=generator)
        is_y = torch.randint(2, (count,), generator=generator)
        symbols[place, at] = SYMBOLS.index("X") + is_y
        targets = 2 * targets + is_y
    symbols[0] = SYMBOLS.index("E")
    symbols[lengths - 1, at] = SYMBOLS.index("B")
    return Sequences(shown(symbols, len(SYMBOLS), lengths), lengths, targets)
