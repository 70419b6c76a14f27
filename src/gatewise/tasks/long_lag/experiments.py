"""The experiments of the study, one entry each: task, criterion, network, budget, and what the paper reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gatewise.synthetic import adding, copy_memory, noise_free_lag, reber, temporal_order
from gatewise.tasks.long_lag.answers import (
    ClassAtEnd,
    Judged,
    ValueAtEnd,
    classes_at_last_steps,
    next_symbols,
)

Batch = tuple[Tensor, ...]
"""The inputs [T, B, I], then what `Experiment.judge` takes after the outputs."""

LSTM_1997 = "Hochreiter & Schmidhuber 1997"
GERS_2000 = "Gers, Schmidhuber & Cummins 2000"
UNITARY_2016 = "Arjovsky, Shah & Bengio 2016"


@dataclass(frozen=True)
class Reported:
    """What a paper reports of its LSTM.

    Args:
        place: the table or section.
        sequences: presented until success, a mean over its trials; None where it has no such figure.
        success: share of its trials; None where it gives none.
    """

    paper: str
    place: str
    sequences: int | None = None
    success: float | None = None


@dataclass(frozen=True)
class Experiment:
    """One task at one lag.

    Args:
        draw: that many fresh sequences; for streams (`stream`) the next windows of the same walks.
        judge: outputs [T, B, K] and the batch without its inputs.
        inputs, outputs: I and K of the network.
        horizon: steps, for the gates' start (chrono); the longest lag.
        recent: sequences that must be right in a row.
        mean_error: what their mean error must be below.
        budget: sequences after which a trial has failed.
        tested: sequences of the test afterwards.
        apart: whether the paper tests the right ones in a row after training. Ours are the last ones of the training,
            and are then not counted among the sequences to success.
        window: steps of a window of endless streams, 0 for sequences. A window counts as a sequence then, and a
            trial succeeds only when no window of the test is wrong.
        lookup: whether `draw` gives symbols, which the network takes in place of one-hot inputs.
    """

    name: str
    title: str
    reported: Reported
    draw: Callable[..., Batch]
    judge: Callable[..., Judged]
    inputs: int
    outputs: int
    horizon: int
    recent: int = 2000
    mean_error: float = 1.0
    budget: int = 200_000
    tested: int = 2560
    hidden_size: int = 32
    batch_size: int = 32
    learning_rate: float = 3e-3
    clip: float = 1.0
    apart: bool = False
    window: int = 0
    lookup: bool = False

    def options(self) -> dict[str, float]:
        """What a trial's result depends on, besides task, cell and seed."""
        names = (
            "horizon", "recent", "mean_error", "budget", "tested", "hidden_size", "batch_size", "learning_rate",
            "clip", "apart", "window",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def _reber(count: int, *, generator: torch.Generator) -> Batch:
    window, lengths = reber.whole_strings(count, generator=generator)
    return _shown(window.symbols), window.following, window.legal, lengths


def reber_windows(streams: reber.ReberStreams, steps: int) -> Batch:
    """The next window of endless streams, as `next_symbols` judges it."""
    window = streams.read(steps)
    lengths = torch.full((window.symbols.shape[1],), steps)
    return _shown(window.symbols), window.following, window.legal, lengths


def _shown(symbols: Tensor) -> Tensor:
    return one_hot(symbols, len(reber.SYMBOLS)).float()


def _adding(steps: int, sequences: int, **training: float) -> Experiment:
    reported = Reported(LSTM_1997, "table 7", sequences, 1.0)
    return Experiment(
        f"adding-{steps}", f"adding problem, T = {steps:,}", reported, partial(adding.draw, steps=steps),
        ValueAtEnd(0.04), 2, 1, horizon=steps + steps // 10, mean_error=0.01, **training,  # type: ignore[arg-type]
    )  # fmt: skip


def _order(relevant: int, sequences: int, **training: float) -> Experiment:
    reported = Reported(LSTM_1997, "table 9", sequences, 1.0)
    return Experiment(
        f"order-{relevant}", f"temporal order, {relevant} symbols", reported,
        partial(temporal_order.draw, relevant=relevant), ClassAtEnd(0.3), 8, 2**relevant,
        horizon=temporal_order.LONGEST, mean_error=0.1, **training,  # type: ignore[arg-type]
    )  # fmt: skip


def _long(q: int, p: int, sequences: int, **training: float) -> Experiment:
    reported = Reported(LSTM_1997, "table 3", sequences, 1.0)
    return Experiment(
        f"lag-{q}", f"long lag (2c), q = {q:,}, p = {p:,}", reported,
        partial(noise_free_lag.long, q=q, p=p, one_hot=False), ClassAtEnd(0.2), p + 4, 2,
        horizon=q + 14, recent=10_000, apart=True, lookup=True, **training,  # type: ignore[arg-type]
    )  # fmt: skip


def _copy(lag: int, **training: float) -> Experiment:
    return Experiment(
        f"copy-{lag}", f"copy memory, lag {lag}", Reported(UNITARY_2016, "section 4.1, curves"),
        partial(copy_memory.draw, lag=lag), classes_at_last_steps, copy_memory.KINDS + 2, copy_memory.KINDS,
        horizon=lag + 2 * copy_memory.COPIED, **training,  # type: ignore[arg-type]
    )  # fmt: skip


_ALL = (
    Experiment(
        "reber", "embedded Reber grammar", Reported(LSTM_1997, "table 1, best row", 8_440, 1.0), _reber,
        next_symbols, 7, 7, horizon=20, recent=512, apart=True, tested=512, budget=100_000, learning_rate=1e-2,
    ),
    Experiment(
        "continual-reber", "continual Reber grammar",
        Reported(GERS_2000, "table 2, forget gates and a decaying learning rate", None, 0.62), reber_windows,
        next_symbols, 7, 7, horizon=20, budget=64_000, tested=20_000, batch_size=16, learning_rate=1e-2, window=50,
    ),
    Experiment(
        "regular-100", "noise-free lag (2a), p = 100", Reported(LSTM_1997, "table 2", 5_040, 1.0),
        partial(noise_free_lag.regular, p=100), ClassAtEnd(0.25), 101, 2, horizon=100, recent=10_000, apart=True,
    ),
    Experiment(
        "irregular-100", "noise-free lag (2b), p = 100", Reported(LSTM_1997, "section 5.2", 5_680, 1.0),
        partial(noise_free_lag.irregular, p=100), ClassAtEnd(0.25), 101, 2, horizon=100, recent=10_000, apart=True,
    ),
    _long(1000, 1000, 49_000, budget=100_000),
    _adding(100, 74_000),
    _adding(500, 209_000, budget=400_000),
    _adding(1000, 853_000, budget=1_000_000),
    _order(2, 31_390),
    _order(3, 571_100, budget=400_000),
    _copy(100, budget=400_000),
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}
"""All experiments by name, at the papers' lags."""

QUICK_BUDGET = 40_000
QUICK = {
    name: replace(EXPERIMENTS[name], budget=min(EXPERIMENTS[name].budget, QUICK_BUDGET))
    for name in ("reber", "order-2")
}
"""What the quick version runs, with one seed and a smaller budget; its trials are not those of the whole study."""
