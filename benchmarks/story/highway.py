"""The cell state has no weights on its way; what of the gradient arrives all the same?

Networks of 32 units read 100 random symbols after the one to be recalled; the loss is at the last step. Going back k
steps, the highway carries Π f of the gradient by c; the full gradient by c also passes through h and the gates.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import cross_entropy

import gatewise as gw
from benchmarks.story.tables import Rows, table
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.recall import SYMBOLS, draw, race

LAG, HIDDEN, BATCH, SEED = 100, 32, 64, 0
LAGS = (1, 10, 30, 100)
BIASES = (0.0, 1.0, 3.0, 5.0)


def start(cell: str, *, forget_bias: float | None = None, horizon: int | None = None) -> Reader:
    torch.manual_seed(SEED)
    model = Reader(cell, 2 * SYMBOLS, HIDDEN, SYMBOLS, horizon=horizon)
    if forget_bias is not None:
        model.recurrent = gw.LSTM(2 * SYMBOLS, HIDDEN, forget_bias=forget_bias)
    return model


def flow(model: Reader) -> dict[str, list[float]]:
    """Mean size of the gradient at each of `LAGS`, as a share of that at the last step."""
    x, labels = draw(BATCH, LAG, generator=torch.Generator().manual_seed(SEED))
    found = gw.memory.gradient_flow(model, x, lambda out: cross_entropy(out[0][-1], labels))["recurrent"][0]
    profiles = {"full": found.profile("h" if found.dc is None else "c")}
    if found.highway is not None:
        profiles["highway"] = found.profile("highway")
    return {name: [float(p[k] / p[0]) for k in LAGS] for name, p in profiles.items()}


def measure() -> Iterator[dict[str, Any]]:
    """One row a model: its name, and the shares by lag."""
    yield {"model": "RNN, torch's start", **flow(start("rnn"))}
    for bias in BIASES:
        yield {"model": f"LSTM, forget bias {bias:g}", **flow(start("lstm", forget_bias=bias))}
    for cell in ("lstm", "gru"):
        yield {"model": f"{cell.upper()}, chrono start", **flow(start(cell, horizon=LAG + 1))}
    for cell, learned in race(LAG, seed=SEED).items():
        yield {"model": f"{cell.upper()} after training", **flow(learned.model)}


def tables(rows: Rows) -> str:
    lines = []
    for row in rows:
        both = zip(row.get("highway", [None] * len(LAGS)), row["full"], strict=True)
        lines.append([row["model"], *(f"{_number(highway)} / {_number(full)}" for highway, full in both)])
    return table(["highway / full gradient, as a share of lag 0", *(f"lag {k}" for k in LAGS)], lines)


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.2f}" if value >= 0.005 else f"{value:.0e}"
