"""Recall: the first symbol of a sequence is to be named after a lag full of other symbols."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from gatewise.errors import UsageError
from gatewise.synthetic.reader import Reader
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

SYMBOLS = 4
EVERY = 50  # updates between two points of a training curve
VALIDATION, TEST = 512, 2000  # sequences


def draw(
    count: int, lag: int, *, generator: torch.Generator, symbols: int = SYMBOLS
) -> tuple[Tensor, Tensor]:
    """Sequences and what is to be recalled at their last step.

    Step 0 shows one of `symbols` symbols. Each of the `lag` steps after it shows one of as many others, the noise,
    which an answer must let pass. All draws are uniform, so a guess is right once in `symbols` times.
    It is the long time lag of Hochreiter & Schmidhuber 1997, section 5.2, task 2c, with the answer at a fixed step.

    Returns:
        x [lag + 1, count, 2 * symbols] float32, one-hot (the first half of the places for what is recalled),
        labels [count] int64 in 0 … symbols - 1.

    Raises:
        UsageError: a lag below 1, or fewer than 2 symbols.
    """
    if lag < 1 or symbols < 2:
        raise UsageError(f"lag is {lag} and symbols {symbols}; a lag is 1 or more, and symbols are 2 or more")
    labels = torch.randint(symbols, (count,), generator=generator)
    noise = torch.randint(symbols, 2 * symbols, (lag, count), generator=generator)
    return one_hot(torch.cat((labels[None], noise)), 2 * symbols).float(), labels


@dataclass(frozen=True)
class Budget:
    """How each cell is trained: Adam with clipped gradients, its rate falling to 0 in a line.

    Args:
        updates: a multiple of 50, each on a batch of new sequences.
        learning_rate: the first one. From 0.01 on, a plain RNN is lucky with some seeds.
        hidden_size: units. batch_size: sequences in an update.

    Raises:
        UsageError: updates that are no multiple of 50.
    """

    updates: int = 300
    learning_rate: float = 7e-3
    hidden_size: int = 32
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.updates < EVERY or self.updates % EVERY:
            raise UsageError(f"updates is {self.updates}; it must be a multiple of {EVERY}")


@dataclass(frozen=True)
class Learned:
    """What one cell came to.

    Attributes:
        accuracy: share of 2,000 unseen sequences recalled.
        curve: (updates, accuracy on 512 other sequences) after every 50 updates.
        seconds: of training.
        model: the network with the best weights of the curve, in evaluation mode.
    """

    accuracy: float
    curve: list[tuple[int, float]]
    seconds: float
    model: Reader


def race(
    lag: int = 100,
    cells: Iterable[str] = ("rnn", "gru", "lstm"),
    seed: int = 0,
    budget: Budget = Budget(),
) -> dict[str, Learned]:
    """Train each cell on the same fresh sequences and test it on the same unseen ones.

    With the defaults, at lag 100 and for each of the seeds 0 to 4, the plain RNN guesses (an accuracy near 0.25) and
    the GRU and the LSTM recall nearly always. The gates of these two start with chrono=lag + 1, as the lag is known;
    with torch's start they fail too, at every rate that was tried (docs/what-is-said.md).

    Args:
        cells: of "rnn", "irnn", "gru", "lstm"; see `Reader`.
        seed: of the first weights and of all sequences.

    Returns: by the name of the cell. The caller's random state is left as it was.

    Raises:
        UsageError: a cell that does not exist, or a lag below 1.
    """
    return {cell: learn(cell, lag, seed, budget, horizon=max(lag + 1, 3)) for cell in cells}


def learn(cell: str, lag: int, seed: int, budget: Budget, *, horizon: int | None) -> Learned:
    """One cell of a `race`; `horizon` as in `Reader`."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Reader(cell, 2 * SYMBOLS, budget.hidden_size, SYMBOLS, horizon=horizon)

    def batches(epoch: int) -> list[tuple[Tensor, Tensor]]:
        generator = _generator(seed, epoch)
        return [draw(budget.batch_size, lag, generator=generator) for _ in range(EVERY)]

    held_out = draw(VALIDATION, lag, generator=_generator(seed, -1))
    options = LoopOptions(budget.updates // EVERY, budget.learning_rate, warmup=0, clip=1.0)
    outcome = fit(model, batches, _loss, options, evaluate=lambda m: _figures(m, held_out))
    curve = [(int(row["step"]), row["validation_accuracy"]) for row in outcome.history]
    with torch.no_grad():
        accuracy = _figures(model, draw(TEST, lag, generator=_generator(seed, -2)))["accuracy"]
    return Learned(accuracy, curve, outcome.seconds, model)


def _generator(seed: int, part: int) -> torch.Generator:
    """Draws of one part: epochs count from 0, -1 is validation, -2 test."""
    return torch.Generator().manual_seed(1_000_003 * (seed + 1) + part)


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Sum:
    x, labels = batch
    return Sum(cross_entropy(model(x)[0][-1], labels, reduction="sum"), len(labels))


def _figures(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    x, labels = batch
    logits = model(x)[0][-1]  # [B, K]
    hits = logits.argmax(-1) == labels
    return {"loss": float(cross_entropy(logits, labels)), "accuracy": float(hits.float().mean())}
