"""A symbol is to be named after a lag: which cells learn it, each with the learning rate that suits it best?

Every entrant has 32 units, the same 300 updates on 64 fresh sequences, and the same grid of learning rates; its rate is
chosen for each lag on seeds that are not reported.
"""

from collections.abc import Iterator
from itertools import product
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.story.tables import Rows, spread, table
from gatewise.synthetic.recall import Budget, Learned, learn

LAGS = (10, 30, 100)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TUNED_ON, REPORTED = (100, 101), (0, 1, 2, 3, 4)


class Entrant(NamedTuple):
    """`chrono`: the gates start with time constants of up to the lag, else as torch's do."""

    name: str
    cell: str
    chrono: bool


ENTRANTS = (
    Entrant("RNN (tanh)", "rnn", False),
    Entrant("RNN (ReLU), identity start", "irnn", False),
    Entrant("GRU, chrono start", "gru", True),
    Entrant("LSTM, chrono start", "lstm", True),
    Entrant("GRU, torch's start", "gru", False),
    Entrant("LSTM, torch's start", "lstm", False),
)


def run(entrant: Entrant, lag: int, seed: int, rate: float) -> Learned:
    horizon = lag + 1 if entrant.chrono else None
    return learn(entrant.cell, lag, seed, Budget(learning_rate=rate), horizon=horizon)


def merit(learned: Learned) -> float:
    """Accuracy first; between equals, how soon it was reached."""
    return learned.accuracy + 1e-3 * fmean(accuracy for _, accuracy in learned.curve)


def measure() -> Iterator[dict[str, Any]]:
    """One row for each entrant and lag: the rate chosen, the merit of each, accuracy and curve of each seed."""
    for lag, entrant in product(LAGS, ENTRANTS):
        merits = {rate: fmean(merit(run(entrant, lag, seed, rate)) for seed in TUNED_ON) for rate in RATES}
        best = max(RATES, key=merits.__getitem__)
        learned = [run(entrant, lag, seed, best) for seed in REPORTED]
        yield {
            "entrant": entrant.name,
            "lag": lag,
            "rate": best,
            "merits": [merits[rate] for rate in RATES],
            "accuracy": [one.accuracy for one in learned],
            "curves": [one.curve for one in learned],
        }


def tables(rows: Rows) -> str:
    cells = {(row["entrant"], row["lag"]): f"{spread(row['accuracy'])}, rate {row['rate']:g}" for row in rows}
    return table(
        ["accuracy: mean (least-most) of 5 seeds", *(f"lag {lag}" for lag in LAGS)],
        [[e.name, *(cells[e.name, lag] for lag in LAGS)] for e in ENTRANTS],
    )
