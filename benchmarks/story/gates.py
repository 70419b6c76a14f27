"""Are gates zeroes and ones? Shares of gate values near the ends and between them, in trained models.

Near an end is below 0.1 or above 0.9, as `gw.memory.saturation` counts (Karpathy, Johnson & Li 2015).
"""

from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

import gatewise as gw
from benchmarks.story import distance, reber
from benchmarks.story.tables import Rows, table
from gatewise.memory import LayerTrace
from gatewise.synthetic.reber import ReberStreams
from gatewise.synthetic.recall import draw, race

SEEDS = (0, 1)
REVIEW_RATE = 1.2e-2
Shares = dict[str, list[float]]


def shares(lt: LayerTrace) -> Shares:
    """{gate: [share below 0.1, between, above 0.9]} over units and valid steps."""
    found = {}
    for gate, (left, right) in gw.memory.saturation(lt).items():
        low, high = float(left.mean()), float(right.mean())
        found[gate] = [low, 1 - low - high, high]
    return found


def after_recall(cell: str, seed: int) -> LayerTrace:
    model = race(100, [cell], seed)[cell].model
    return seen(model, draw(64, 100, generator=torch.Generator().manual_seed(seed))[0])


def after_reviews(cell: str, seed: int) -> LayerTrace:
    task = distance.Task(seed)
    network, _ = distance.train(
        task, {"lstm": "LSTM, forget bias 1", "gru": "GRU"}[cell], REVIEW_RATE, tails=False
    )
    x, lengths = task.encoder.collate(task.test[0])
    with torch.no_grad(), gw.record(network) as trace:
        network(x, lengths)
    return trace["recurrent"][0]


def after_reber(cell: str, seed: int) -> LayerTrace:
    model = reber.network("open", seed)
    reber.train_on_streams(model, seed)
    streams = ReberStreams(10, generator=torch.Generator().manual_seed(10**6))
    return seen(model, reber.shown(streams.read(1000).symbols))


def seen(model: torch.nn.Module, x: Tensor) -> LayerTrace:
    with torch.no_grad(), gw.record(model) as trace:
        model(x)
    return trace["recurrent"][0]


CASES: dict[str, tuple[Callable[[str, int], LayerTrace], tuple[str, ...]]] = {
    "recall at lag 100": (after_recall, ("lstm", "gru")),
    "embedded reviews": (after_reviews, ("lstm", "gru")),
    "Reber streams": (after_reber, ("lstm",)),
}


def measure() -> Iterator[dict[str, Any]]:
    """One row a case and cell: the shares of each gate for each seed."""
    for case, (train, cells) in CASES.items():
        for cell in cells:
            yield {"case": case, "cell": cell, "seeds": [shares(train(cell, seed)) for seed in SEEDS]}


def tables(rows: Rows) -> str:
    lines = []
    for row in rows:
        for gate in row["seeds"][0]:
            means = [fmean(seed[gate][k] for seed in row["seeds"]) for k in range(3)]
            lines.append(
                [f"{row['case']}, {row['cell'].upper()}, {gate}", *(f"{mean:.0%}" for mean in means)]
            )
    return table(["gate", "below 0.1", "between", "above 0.9"], lines)
