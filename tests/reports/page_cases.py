"""Pages made of nothing but NumPy: a sequence goes through random gates, and every part of the page is filled."""

from __future__ import annotations

import dataclasses

import numpy as np

from gatewise.reports.page import (
    Answer,
    Check,
    Curve,
    FlowCurve,
    LayerView,
    Page,
    Quality,
    Variables,
    Word,
)

REVIEW = [
    "Amazing", "movie", "!", "Movie", "was", "full", "of", "new", "surprises", ",", "audience", "had", "to", "hold",
    "back", "till", "the", "last", "minute", "to", "watch", "it", ".", "There", "was", "hardly", "any", "boring",
    "moment", ".",
]  # fmt: skip
STRONG = {"Amazing": 1.9, "surprises": 1.6, "hardly": 0.5, "boring": -0.9, "full": 0.45, "moment": 0.3}


def layer(
    words: int = 26,
    units: int = 32,
    *,
    cell: str = "lstm",
    reverse: bool = False,
    seed: int = 0,
    name: str = "lstm, layer 0",
    pooling: str = "last",
    outputs: int | None = None,
    strong: dict[int, float] | None = None,
    positions: np.ndarray | None = None,
) -> LayerView:
    """A layer whose units keep for between 1 and 60 steps; at `strong` steps the input gate opens and writes much."""
    rng = np.random.default_rng(seed)
    order = range(words)[::-1] if reverse else range(words)
    half_lives = np.geomspace(0.8, 60, units)
    drive = np.array([(strong or {}).get(t, 0.25 * rng.standard_normal()) for t in range(words)])[:, None]
    sign = rng.choice([-1.0, 1.0], units)
    keep = np.clip(0.5 ** (1 / half_lives) + 0.04 * rng.standard_normal((words, units)), 0.01, 0.999)
    write = 1 / (1 + np.exp(-(3 * np.abs(drive) - 2 + 0.7 * rng.standard_normal((words, units)))))
    content = np.tanh(1.5 * drive * sign + 0.2 * rng.standard_normal((words, units)))
    show = 1 / (1 + np.exp(-(1 + rng.standard_normal((words, units)))))
    gates: dict[str, np.ndarray] = {}
    initial = np.zeros(units)
    memory = np.zeros((words, units))
    state = initial
    for t in order:
        if cell == "lstm":
            state = keep[t] * state + write[t] * content[t]
        elif cell.startswith("gru"):
            state = keep[t] * state + (1 - keep[t]) * content[t]
        elif cell == "rnn_tanh":
            state = np.tanh(1.5 * drive[t] * sign + 0.8 * state[rng.permutation(units)])
        else:
            state = np.maximum(0.0, drive[t] * sign + 0.6 * state)
        memory[t] = state
    hidden = memory
    belt = edge = reading = push = None
    if cell == "lstm":
        gates = {"i": write, "f": keep, "g": content, "o": show}
        hidden = show * np.tanh(memory)
        if outputs is not None:
            hidden = hidden @ rng.standard_normal((units, outputs)) / np.sqrt(units)
    elif cell.startswith("gru"):
        gates = {"r": show, "z": keep, "n": content}
    if gates:
        written = write * content if cell == "lstm" else (1 - keep) * content
        belt = np.zeros((words, words))
        stored = np.zeros((words, units))
        for t in order:
            stored *= keep[t]
            stored[t] = written[t]
            belt[t] = np.abs(stored).sum(1)
        weights = {"last": [order[-1]], "mean": list(order)}[pooling]
        reading = np.zeros(words)
        reading[weights] = 1 / len(weights)
        edge = reading @ belt
        edge = edge / edge.sum()
        push = (stored * sign).sum(1) * 0.2
    return LayerView(
        name=name,
        cell=cell,
        reverse=reverse,
        positions=np.arange(words) if positions is None else positions,
        gates={k: v.astype(np.float32) for k, v in gates.items()},
        memory=memory.astype(np.float32),
        initial=initial.astype(np.float32),
        hidden=hidden.astype(np.float32),
        belt=None if belt is None else belt.astype(np.float32),
        edge=None if edge is None else edge.astype(np.float32),
        reading=None if reading is None else reading.astype(np.float32),
        push=None if push is None else push.astype(np.float32),
        half_lives=(half_lives if gates else np.full(units, np.nan)).astype(np.float32),
        half_lives_before=np.geomspace(0.5, 3, units).astype(np.float32) if gates else None,
        residual=1.2e-7,
    )


def sequence(shown: LayerView, texts: list[str]) -> list[Word]:
    """Words with the held and push of a layer; the four that push most are kept."""
    if shown.edge is None or shown.push is None:
        return [Word(text) for text in texts]
    best = set(np.argsort(-shown.push)[:4].tolist())
    return [
        Word(text, " " if k else "", float(held), float(push), float(push) * 0.8, k in best, k == 1)
        for k, (text, held, push) in enumerate(zip(texts, shown.edge, shown.push, strict=True))
    ]


def flows(steps: int) -> list[FlowCurve]:
    lags = np.arange(steps)
    return [
        FlowCurve("RNN", (0.8 * 0.55**lags).tolist(), None),
        FlowCurve("GRU", (0.7 * 0.9**lags).tolist(), (0.5 * 0.86**lags).tolist()),
        FlowCurve("LSTM", (0.9 * 0.95**lags).tolist(), (0.6 * 0.93**lags).tolist()),
    ]


def quality() -> Quality:
    epochs = np.arange(12)
    return Quality(
        part="validation part, 192 examples",
        figures=[("accuracy", "0.912"), ("F1 (macro)", "0.911"), ("cross-entropy", "0.2471")],
        curves=[
            Curve("training loss", (0.7 * 0.75**epochs).tolist()),
            Curve("validation loss", (0.7 * 0.82**epochs + 0.05).tolist()),
            Curve("validation accuracy", (0.93 - 0.4 * 0.7**epochs).tolist()),
        ],
        baselines=[("always the commonest label", 0.5), ("bag of words, linear", 0.86)],
        labels=["negative", "positive"],
        confusion=[[88, 8], [9, 87]],
        calibration=[(0.55, 0.5, 12), (0.65, 0.7, 20), (0.75, 0.72, 31), (0.85, 0.88, 50), (0.96, 0.97, 79)],
        training=["768 examples: negative 384, positive 384", "12 epochs; the best was epoch 9"],
    )  # fmt: skip


def check(kept: int = 4, *, spread_out: bool = False, holds: bool = True) -> Check:
    random = np.clip(0.93 + 0.03 * np.random.default_rng(3).standard_normal(50), 0, 1)
    return Check(kept, spread_out, 0.41, 0.94, random.tolist(), holds)


def review(cell: str = "lstm", **changes: object) -> Page:
    """The review that the project is about, with everything on the page."""
    strong = {k: STRONG[word] for k, word in enumerate(REVIEW) if word in STRONG}
    name = {"lstm": "lstm", "gru": "gru"}.get(cell, "rnn")
    shown = layer(len(REVIEW), cell=cell, strong=strong, name=f"{name}, layer 0")
    back = layer(
        len(REVIEW), cell=cell, reverse=True, strong=strong, seed=1, name=f"{name}, layer 0, reverse"
    )
    page = Page(
        title="positive: Amazing movie!",
        heading="Amazing movie!",
        unit="word",
        words=sequence(shown, REVIEW),
        layers=[shown, back],
        answer=Answer("positive", "positive", 0.9641, {"positive": 0.9641, "negative": 0.0359}),
        check=check(),
        flows=flows(len(REVIEW)),
        quality=quality(),
        terms=[
            ("pushes of all words", 3.412),
            ("initial state", 0.0),
            ("bias", -0.124),
            ("score: log odds", 3.288),
        ],
        residual=2.4e-7,
        cautions=["1 of 30 words is unknown to the model: movie"],
        limits=[
            "Held and push belong to the word at which the network wrote, with its gates as they were: "
            "the gates themselves also depend on the words before.",
            "In upper or reverse layers a step is not its word.",
            "Leaving words out makes odd text, which the model may never have seen the like of.",
        ],
        facts=[("cell", name), ("seed", "7"), ("gatewise", "0.1.0"), ("command", "gatewise explain RUN TEXT --html")],
        download={"label": "positive", "held": [0.1, float("nan")]},
    )  # fmt: skip
    return dataclasses.replace(page, **changes)


def series(steps: int = 48) -> Page:
    """Three variables over time, explained."""
    rng = np.random.default_rng(5)
    time = np.arange(steps)
    values = np.stack(
        [np.sin(time / 6) * 12 + 20, np.cumsum(rng.standard_normal(steps)) + 1000, (time % 12 == 5) * 3.0],
        axis=1,
    )
    values[7:9, 0] = np.nan
    shown = layer(steps, strong={5: 1.5, 17: 1.2, 29: -1.4}, name="lstm, layer 0")
    assert shown.push is not None
    parts = rng.dirichlet([1, 1, 1], steps) * shown.push[:, None]
    texts = [f"2024-03-{1 + k // 24:02d} {k % 24:02d}:00" for k in range(steps)]
    return dataclasses.replace(
        review(),
        title="storm: station 12",
        heading="station 12",
        unit="step",
        words=sequence(shown, texts),
        layers=[shown],
        answer=Answer("storm", "storm", 0.87, {"storm": 0.87, "calm": 0.1, "rain": 0.03}),
        flows=flows(steps),
        variables=Variables(["temperature", "pressure", "rain"], values, parts, 0.0021),
        cautions=[],
    )


def trace_only(cell: str = "lstm") -> Page:
    """What a recording of somebody's own model has: layers, and nothing about an answer."""
    shown = dataclasses.replace(
        layer(12, 8, cell=cell), edge=None, reading=None, push=None, half_lives_before=None
    )
    words = [Word(str(k + 1), " " if k else "") for k in range(12)]
    return Page("layer", "encoder.lstm", "step", words, [shown], limits=["One sequence of a batch is shown."])


def large(words: int = 400, units: int = 256) -> Page:
    """400 words of 256 units: what the page must stay quick on."""
    rng = np.random.default_rng(11)
    texts = [str(rng.choice(REVIEW)) for _ in range(words)]
    strong = {int(k): float(rng.normal(0, 1.5)) for k in rng.choice(words, 30, replace=False)}
    shown = layer(words, units, strong=strong)
    return dataclasses.replace(
        review(),
        words=sequence(shown, texts),
        layers=[shown],
        flows=flows(words),
    )
