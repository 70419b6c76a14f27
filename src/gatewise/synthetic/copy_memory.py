"""Copy memory: ten symbols are to be repeated in their order after a long silence.

A sequence has lag + 20 steps: ten symbols out of eight, lag - 1 blanks, a mark, and ten more blanks. At these last ten
steps the ten symbols are asked for, in the order in which they came; each is wanted lag + 10 steps after it was shown.
A network that knows nothing has a cross-entropy of ln 8 = 2.08 a symbol.

The paper gives curves of the loss and no criterion of success. Ours: a sequence is right when all ten symbols are, and
a training ends when the 2,000 latest sequences were right.

Source: Arjovsky, Shah & Bengio 2016, "Unitary evolution recurrent neural networks", section 4.1; the task is
    Hochreiter & Schmidhuber's, in the form that they give it.
"""

import torch

from gatewise.errors import UsageError
from gatewise.synthetic.sequences import Sequences, shown

COPIED = 10
KINDS = 8
BLANK, MARK = KINDS, KINDS + 1


def draw(count: int, lag: int, *, generator: torch.Generator) -> Sequences:
    """`count` sequences of lag + 20 steps.

    Returns: x [lag + 20, count, 10] float32, one-hot (8 symbols, blank, mark), lengths, and targets [10, count] int64
        in 0 … 7, which are asked at the last ten steps.

    Raises:
        UsageError: a lag below 1.
    """
    if lag < 1:
        raise UsageError(f"lag is {lag}; it must be 1 or more")
    copied = torch.randint(KINDS, (COPIED, count), generator=generator)
    symbols = torch.full((lag + 2 * COPIED, count), BLANK)
    symbols[:COPIED] = copied
    symbols[COPIED + lag - 1] = MARK
    lengths = torch.full((count,), len(symbols))
    return Sequences(shown(symbols, KINDS + 2, lengths), lengths, copied)
