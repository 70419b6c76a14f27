"""Embedded Reber strings without an end: what an LSTM does with and without a forget gate (Gers et al. 2000).

Each network reads 16 endless streams, 50 symbols at a time, and carries its state on from window to window; it is
never reset. As a control, the one without a forget gate also learns the grammar string by string, each from zeros.
"""

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import gatewise as gw
from benchmarks.story.tables import Rows, spread, table
from gatewise.layers.initialisers import lstm_forget_bias
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.reber import SYMBOLS, ReberStreams, Window, predicted, strings, until_first_error
from gatewise.training.carried import Carried
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

SEEDS = {"open": 5, "torch": 3, "fixed": 3, "strings": 3}  # from 0 on
HIDDEN, STREAMS, WINDOW, UPDATES, RATE = 16, 16, 50, 2000, 1e-2
TEST_STREAMS, TEST_SYMBOLS, RUN_UP = 10, 10_100, 100
TELLS = 3.0  # standard deviations
K = len(SYMBOLS)


def network(kind: str, seed: int) -> Reader:
    """An LSTM of one of the `KINDS`.

    "open" starts as Gers et al. do, with a forget gate that keeps nearly all until it has learnt to forget: bias 3, so
    f is about 0.95. "fixed" has no forget gate, f is 1: σ(100) is exactly 1 in float32 and its slope exactly 0, so rows
    of zeros with a bias of 100 never move.
    """
    torch.manual_seed(seed)
    model = Reader("lstm", K, HIDDEN, K)
    w = model.recurrent.weights(0)
    assert w.b_ih is not None and w.b_hh is not None
    rows = slice(HIDDEN, 2 * HIDDEN)
    with torch.no_grad():
        if kind == "fixed":
            w.w_ih[rows] = 0
            w.w_hh[rows] = 0
        if kind != "torch":
            lstm_forget_bias(w.b_ih, w.b_hh, {"open": 3.0, "fixed": 100.0}[kind])
    return model


def shown(symbols: Tensor) -> Tensor:
    """[T, B] as one-hot [T, B, 7] float32."""
    return one_hot(symbols, K).float()


def train_on_streams(model: Reader, seed: int) -> None:
    long = ReberStreams(STREAMS, generator=torch.Generator().manual_seed(seed)).read(UPDATES * WINDOW)
    windows = list(zip(long.symbols.split(WINDOW), long.following.split(WINDOW), strict=True))

    def loss(model: nn.Module, window: tuple[Tensor, Tensor], state: Any) -> tuple[Sum, Any]:
        logits, state = model(shown(window[0]), state)
        total = cross_entropy(logits.flatten(0, 1), window[1].flatten(), reduction="sum")
        return Sum(total, window[1].numel()), state

    fit(model, lambda _: windows, Carried(loss), LoopOptions(1, RATE, warmup=0, clip=1.0))


def train_on_strings(model: Reader, seed: int) -> None:
    """As many updates, each on 64 of 16,000 strings: about as many symbols as 16 windows of 50."""
    drawn = strings(16_000, generator=torch.Generator().manual_seed(seed))
    batches = [drawn[k : k + 64] for k in range(0, len(drawn), 64)]

    def loss(model: nn.Module, batch: list[str]) -> Sum:
        symbols = padded(batch)  # [T, B], -1 beyond the end
        logits, _ = model(shown(symbols[:-1].clamp(min=0)))
        targets = symbols[1:].flatten()
        total = cross_entropy(logits.flatten(0, 1), targets, ignore_index=-1, reduction="sum")
        return Sum(total, int((targets >= 0).sum()))

    fit(model, lambda _: batches, loss, LoopOptions(UPDATES // len(batches), RATE, warmup=0, clip=1.0))


def padded(batch: list[str]) -> Tensor:
    """Places of the symbols, [T, B] int64, -1 beyond a string's end."""
    rows = [torch.tensor([SYMBOLS.index(symbol) for symbol in string]) for string in batch]
    return nn.utils.rnn.pad_sequence(rows, padding_value=-1)


@torch.no_grad()
def on_streams(model: Reader, window: Window) -> dict[str, Any]:
    """How a network fares on streams that start anew: right predictions, and how its cell state grows.

    The first 100 symbols are a run-up that is not counted: in training the state was zero at the very first step alone.
    """
    with gw.record(model) as trace:
        logits, _ = model(shown(window.symbols))
    right, recalls = predicted(logits, window.legal)[RUN_UP:], window.recalls[RUN_UP:]  # [T, B]
    c = trace["recurrent"][0].c
    assert c is not None
    first, last = (right[part][recalls[part]].float().mean() for part in (slice(1000), slice(-1000, None)))
    return {
        "symbols_right": float(right.float().mean()),
        "recalls_right": float(right[recalls].float().mean()),
        "recalls_right_first_1000": float(first),
        "recalls_right_last_1000": float(last),
        "until_first_error": float(until_first_error(right).float().mean()),
        "errors": int((~right).sum()),
        "cell_state_at": {step: float(c[step - 1].abs().mean()) for step in (10, 100, 1000, 10_000)},
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
def forget_gates(model: Reader, window: Window) -> dict[str, list[float]]:
    """What each unit does with the string's T or P, and where its forget gate closes; a list over the units each.

    tells: how far apart its cell states are after T and after P, just before the recall, in standard deviations.
    kept_inside: its mean Π f from the second symbol to the recall, 6 steps or more. kept_between: over the last symbol
    of a string and the first two of the next. E, B, second: its mean f at each of these three; elsewhere: at the rest.
    """
    with gw.record(model) as trace:
        model(shown(window.symbols))
    f, c = trace["recurrent"][0].f.double(), trace["recurrent"][0].c
    assert c is not None
    inside, between, recalled, was_t = [], [], [], []
    at = torch.zeros(window.symbols.shape, dtype=torch.int64)  # 1, 2, 3 at E, B and the second symbol
    for b in range(f.shape[1]):
        starts = window.boundary[:, b].nonzero().flatten().tolist()[1:-1]
        for start, end in pairwise(starts):  # one string
            inside.append(f[start + 2 : end - 2, b].prod(0))
            between.append(f[start - 1 : start + 2, b].prod(0))
            recalled.append(c[end - 3, b])
            was_t.append(SYMBOLS[window.symbols[start + 1, b]] == "T")
            at[start - 1 : start + 2, b] = torch.tensor([1, 2, 3])
    memory, t = torch.stack(recalled), torch.tensor(was_t)
    apart = (memory[t].mean(0) - memory[~t].mean(0)).abs()
    return {
        "tells": (apart / (memory[t].var(0) + memory[~t].var(0)).div(2).sqrt()).tolist(),
        "kept_inside": torch.stack(inside).mean(0).tolist(),
        "kept_between": torch.stack(between).mean(0).tolist(),
        **{name: f[at == k].mean(0).tolist() for k, name in enumerate(("elsewhere", "E", "B", "second"))},
    }


def measure() -> Iterator[dict[str, Any]]:
    """One row a kind and seed: the three kinds on streams, and the one without a forget gate on single strings."""
    test = ReberStreams(TEST_STREAMS, generator=torch.Generator().manual_seed(10**6)).read(TEST_SYMBOLS)
    for kind, seeds in SEEDS.items():
        for seed in range(seeds):
            if kind == "strings":
                model = network("fixed", seed)
                train_on_strings(model, seed)
                found = on_strings(model, 10**6)
            else:
                model = network(kind, seed)
                train_on_streams(model, seed)
                found = on_streams(model, test) | {"gates": forget_gates(model, test)}
            yield {"kind": kind, "seed": seed} | found


KINDS = {
    "open": "forget gate, starts open (bias 3)",
    "torch": "forget gate, torch's start",
    "fixed": "no forget gate (f = 1)",
}


def tables(rows: Rows) -> str:
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in (*KINDS, "strings")}
    return "\n\n".join([_right(by_kind), _grown(by_kind), _gates(by_kind)])


def _right(by_kind: dict[str, Rows]) -> str:
    columns = {
        "symbols_right": "symbols right",
        "recalls_right": "recalls right",
        "recalls_right_first_1000": "in the first 1,000",
        "recalls_right_last_1000": "in the last 1,000",
    }
    lines = [
        [
            title,
            *(spread([row[column] for row in by_kind[kind]], 3) for column in columns),
            spread([row["until_first_error"] for row in by_kind[kind]], 0),
            sum(row["errors"] == 0 for row in by_kind[kind]),
        ]
        for kind, title in KINDS.items()
    ]
    single = spread([row["recalls_right"] for row in by_kind["strings"]], 3)
    lines.append(["no forget gate, each string from a zero state", "", single, "", "", "", ""])
    return table(["LSTM", *columns.values(), "symbols until an error", "seeds without any"], lines)


def _grown(by_kind: dict[str, Rows]) -> str:
    steps = list(by_kind["open"][0]["cell_state_at"])
    lines = [
        [title, *(f"{fmean(row['cell_state_at'][step] for row in by_kind[kind]):.2f}" for step in steps)]
        for kind, title in KINDS.items()
    ]
    return table(["mean size of c after", *(f"{int(step):,} symbols" for step in steps)], lines)


def _gates(by_kind: dict[str, Rows]) -> str:
    columns = {
        "kept_inside": "kept inside a string",
        "kept_between": "kept from string to string",
        "elsewhere": "f inside",
        "E": "f at E",
        "B": "f at B",
        "second": "f at T or P",
    }
    lines = []
    for kind in ("open", "torch"):
        for row in by_kind[kind]:
            units = row["gates"]
            telling = [unit for unit in range(HIDDEN) if units["tells"][unit] >= TELLS]
            unit = max(telling, key=units["kept_inside"].__getitem__)
            numbers = (f"{units[column][unit]:.2f}" for column in columns)
            lines.append([f"{KINDS[kind]}, seed {row['seed']}", _dropping(units), *numbers])
    return table(["", "gates that drop by half", *columns.values()], lines)


def _dropping(units: dict[str, list[float]]) -> str:
    """How many units have a forget gate that is, at E, B or the second symbol, less than half of what it is inside."""
    lowest = map(min, units["E"], units["B"], units["second"])
    return (
        f"{sum(low < inside / 2 for low, inside in zip(lowest, units['elsewhere'], strict=True))} of {HIDDEN}"
    )
