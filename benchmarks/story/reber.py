"""Embedded Reber strings without an end: what an LSTM does with and without a forget gate (Gers et al. 2000).

Each network reads 16 endless streams, 50 symbols at a time, and carries its state on from window to window; it is
never reset. As a control, the one without a forget gate also learns the grammar string by string, each from zeros.
"""

from collections.abc import Iterator
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import gatewise as gw
from benchmarks.story.tables import Rows, spread, table
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.reber import SYMBOLS, ReberStreams, Window, predicted, strings, until_first_error
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions

SEEDS = (0, 1, 2, 3, 4)
HIDDEN, STREAMS, WINDOW, UPDATES, RATE = 16, 16, 50, 2000, 1e-2
TEST_STREAMS, TEST_SYMBOLS = 10, 10_000
K = len(SYMBOLS)


def network(seed: int, *, forgets: bool) -> Reader:
    """An LSTM with torch's start; without a forget gate its f is 1 for good.

    σ(100) is exactly 1 in float32 and its slope exactly 0, so rows of zeros with a bias of 100 never move.
    """
    torch.manual_seed(seed)
    model = Reader("lstm", K, HIDDEN, K)
    if not forgets:
        w = model.recurrent.weights(0)
        rows = slice(HIDDEN, 2 * HIDDEN)
        with torch.no_grad():
            for weight in w.tensors():
                weight[rows] = 0
            assert w.b_ih is not None
            w.b_ih[rows] = 100
    return model


def shown(symbols: Tensor) -> Tensor:
    """[T, B] as one-hot [T, B, 7] float32."""
    return one_hot(symbols, K).float()


def train_on_streams(model: Reader, seed: int) -> None:
    long = ReberStreams(STREAMS, generator=torch.Generator().manual_seed(seed)).read(UPDATES * WINDOW)
    windows = list(zip(long.symbols.split(WINDOW), long.following.split(WINDOW), strict=True))
    state: Any = None

    def loss(model: nn.Module, window: tuple[Tensor, Tensor]) -> Tensor:
        nonlocal state
        logits, state = model(shown(window[0]), state)
        state = tuple(part.detach() for part in state)
        return cross_entropy(logits.flatten(0, 1), window[1].flatten())

    fit(model, lambda _: windows, loss, LoopOptions(1, RATE, warmup=0, clip=1.0))


def train_on_strings(model: Reader, seed: int) -> None:
    """As many updates, each on 64 strings: about as many symbols as 16 windows of 50."""
    drawn = strings(64 * UPDATES, generator=torch.Generator().manual_seed(seed))
    batches = [drawn[k : k + 64] for k in range(0, len(drawn), 64)]

    def loss(model: nn.Module, batch: list[str]) -> Tensor:
        symbols = padded(batch)  # [T, B], -1 beyond the end
        logits, _ = model(shown(symbols[:-1].clamp(min=0)))
        return cross_entropy(logits.flatten(0, 1), symbols[1:].flatten(), ignore_index=-1)

    fit(model, lambda _: batches, loss, LoopOptions(1, RATE, warmup=0, clip=1.0))


def padded(batch: list[str]) -> Tensor:
    """Places of the symbols, [T, B] int64, -1 beyond a string's end."""
    rows = [torch.tensor([SYMBOLS.index(symbol) for symbol in string]) for string in batch]
    return nn.utils.rnn.pad_sequence(rows, padding_value=-1)


@torch.no_grad()
def on_streams(model: Reader, window: Window) -> dict[str, Any]:
    """How a network fares on streams that start anew: right predictions, and how its cell state grows."""
    with gw.record(model) as trace:
        logits, _ = model(shown(window.symbols))
    right = predicted(logits, window.legal)  # [T, B]
    c = trace["recurrent"][0].c
    assert c is not None
    sizes = c.abs().mean((1, 2))  # [T]
    recalls = [right[part][window.recalls[part]].float().mean() for part in (slice(1000), slice(-1000, None))]
    return {
        "symbols_right": float(right.float().mean()),
        "recalls_right": float(right[window.recalls].float().mean()),
        "recalls_right_first_1000": float(recalls[0]),
        "recalls_right_last_1000": float(recalls[1]),
        "until_first_error": float(until_first_error(right).float().mean()),
        "errors": int((~right).sum()),
        "cell_state_at": {step: float(sizes[step - 1]) for step in (10, 100, 1000, 10_000)},
    }


@torch.no_grad()
def on_strings(model: Reader, seed: int) -> dict[str, Any]:
    """Each string from a zero state: the share of right predictions at its recalled T or P."""
    symbols = padded(strings(2000, generator=torch.Generator().manual_seed(seed)))
    logits, _ = model(shown(symbols.clamp(min=0)))
    last = (symbols >= 0).sum(0) - 1  # [B], where E stands
    at = torch.arange(len(last))
    guess = logits[last - 2, at].argmax(-1)
    return {"recalls_right": float((guess == symbols[last - 1, at]).float().mean())}


@torch.no_grad()
def forget_gates(model: Reader, window: Window) -> dict[str, dict[str, float]]:
    """f where a string ends and the next begins, and inside: its mean, the share below 0.1, the lowest unit's mean."""
    with gw.record(model) as trace:
        model(shown(window.symbols))
    f = trace["recurrent"][0].f  # [T, B, H]
    begins = window.boundary.clone()
    begins[0] = False  # nothing was before it
    begins[-1] = False
    near = {
        "E, the last symbol": begins.roll(-1, 0),
        "B, the first": begins,
        "T or P, the second": begins.roll(1, 0),
    }
    places = near | {"inside a string": ~(near["E, the last symbol"] | begins | near["T or P, the second"])}
    return {
        name: {
            "mean": float(f[mask].mean()),
            "below_0.1": float((f[mask] < 0.1).float().mean()),
            "lowest_unit": float(f[mask].mean(0).min()),
        }
        for name, mask in places.items()
    }


def measure() -> Iterator[dict[str, Any]]:
    """Three rows a seed: with a forget gate, without, and without on single strings."""
    test = ReberStreams(TEST_STREAMS, generator=torch.Generator().manual_seed(10**6)).read(TEST_SYMBOLS)
    for seed in SEEDS:
        for name, forgets in (("with", True), ("without", False)):
            model = network(seed, forgets=forgets)
            train_on_streams(model, seed)
            gates = {"gates": forget_gates(model, test)} if forgets else {}
            yield {"name": name, "seed": seed} | on_streams(model, test) | gates
        model = network(seed, forgets=False)
        train_on_strings(model, seed)
        yield {"name": "strings", "seed": seed} | on_strings(model, 10**6)


NAMES = {"with": "with a forget gate", "without": "without (f = 1)"}


def tables(rows: Rows) -> str:
    by_name = {name: [row for row in rows if row["name"] == name] for name in (*NAMES, "strings")}
    return "\n\n".join([_right(by_name), _grown(by_name), _gates([row["gates"] for row in by_name["with"]])])


def _right(by_name: dict[str, Rows]) -> str:
    columns = {
        "symbols_right": "symbols right",
        "recalls_right": "recalls right",
        "recalls_right_first_1000": "in the first 1,000",
        "recalls_right_last_1000": "in the last 1,000",
    }
    lines = [
        [
            title,
            *(spread([row[column] for row in by_name[name]], 3) for column in columns),
            spread([row["until_first_error"] for row in by_name[name]], 0),
            sum(row["errors"] == 0 for row in by_name[name]),
        ]
        for name, title in NAMES.items()
    ]
    single = spread([row["recalls_right"] for row in by_name["strings"]], 3)
    lines.append(["without, each string from a zero state", "", single, "", "", "", ""])
    return table(["LSTM", *columns.values(), "symbols until an error", "seeds without any"], lines)


def _grown(by_name: dict[str, Rows]) -> str:
    steps = list(by_name["with"][0]["cell_state_at"])
    lines = [
        [title, *(f"{fmean(row['cell_state_at'][step] for row in by_name[name]):.2f}" for step in steps)]
        for name, title in NAMES.items()
    ]
    return table(["mean size of c after", *(f"{int(step):,} symbols" for step in steps)], lines)


def _gates(seeds: Rows) -> str:
    lines = [
        [
            place,
            *(f"{fmean(seed[place][k] for seed in seeds):.2f}" for k in ("mean", "below_0.1", "lowest_unit")),
        ]
        for place in seeds[0]
    ]
    return table(["forget gate at", "mean", "share below 0.1", "mean of the lowest unit"], lines)
