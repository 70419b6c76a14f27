"""The adding problem: two marked numbers of a long sequence are to be added at its end.

Each step shows a pair: a number from [-1, 1], and a marker. Two pairs bear the marker 1: one of the first ten, whose
number is X1, and one of the first T/2 - 1 others, whose number is X2. The first and the last pair bear -1, all others
0; where the first pair is drawn to be marked, it keeps its -1 and its number is 0. Sequences have T to T + T/10 steps.
The target, at the last step alone, is 0.5 + (X1 + X2) / 4. Between X2 and the end lie T/2 steps or more.

The paper's criterion: a sequence is right when the absolute error at its end is below 0.04; a training ends when the
mean error is below 0.01 and the 2,000 latest sequences were right. Then 2,560 other sequences are the test.

Source: Hochreiter & Schmidhuber 1997, "Long short-term memory", section 5.4, experiment 4.
"""

import torch

from gatewise.errors import UsageError
from gatewise.synthetic.sequences import Sequences, inside

SHORTEST = 22
"""Steps: the first ten pairs must be among the T/2 - 1 first."""


def draw(count: int, steps: int, *, generator: torch.Generator) -> Sequences:
    """`count` sequences of T = `steps` to T + T/10 steps.

    Returns: x [T + T // 10, count, 2] float32, lengths, targets [count] float32 in 0 … 1.

    Raises:
        UsageError: fewer than 22 steps.
    """
    if steps < SHORTEST:
        raise UsageError(f"steps is {steps}; the adding problem needs {SHORTEST} or more")
    longest = steps + steps // 10
    lengths = torch.randint(steps, longest + 1, (count,), generator=generator)
    numbers = 2 * torch.rand(longest, count, generator=generator) - 1
    first = torch.randint(10, (count,), generator=generator)
    second = torch.randint(steps // 2 - 1, (count,), generator=generator)
    second = second + (second >= first)  # the place among those that are not marked yet
    at = torch.arange(count)
    numbers[0, (first == 0) | (second == 0)] = 0
    targets = 0.5 + (numbers[first, at] + numbers[second, at]) / 4
    markers = torch.zeros(longest, count)
    markers[first, at] = markers[second, at] = 1
    markers[0] = markers[lengths - 1, at] = -1
    x = torch.stack((numbers, markers), -1) * inside(longest, lengths)[:, :, None]
    return Sequences(x, lengths, targets)
