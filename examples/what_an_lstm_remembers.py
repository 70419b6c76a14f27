"""What does an LSTM remember? The figures and the pictures of docs/what-an-lstm-remembers.md.

    python examples/what_an_lstm_remembers.py            # prints the figures, writes the pictures into a folder here
    python examples/what_an_lstm_remembers.py --write    # puts both into the page

Four small networks are trained, in about half a minute on one thread.
"""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import gatewise as gw
from gatewise.data.reviews import load_reviews
from gatewise.memory import Hold
from gatewise.reports.charts import LineChart, Tick, labelled
from gatewise.reports.svg import COLOURS, GRID, RULE, chart, svg, text
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.recall import SYMBOLS, Budget, draw, learn

PAGE = Path(__file__).parent.parent / "docs" / "what-an-lstm-remembers.md"
LAG, ROWS = 60, 128
LONGER = (60, 120, 240, 480)
REVIEW = (
    "Amazing movie! Movie was full of new surprises, audience had to hold back till the last minute to watch it. "
    "There was hardly any boring moment."
)
STARTS = {"RNN": ("rnn", None), "LSTM, torch's start": ("lstm", None), "LSTM, long start": ("lstm", LAG + 1)}
Lines = dict[str, tuple[Sequence[float], Sequence[float]]]


def plot(title: str, x_label: str, lines: Lines, ticks: Sequence[float], across: Sequence[float]) -> str:
    """Lines by name, (x, y); a y axis that is logarithmic where its last tick is 100 times its first."""
    left, right, top, bottom = 56.0, 400.0, 34.0, 230.0
    log = ticks[0] > 0 and ticks[-1] / ticks[0] >= 100

    def x(value: float) -> float:
        return left + (right - left) * (value - across[0]) / (across[-1] - across[0])

    def y(value: float) -> float:
        low, high, value = (
            (math.log10(max(v, ticks[0])) for v in (ticks[0], ticks[-1], value))
            if log
            else (ticks[0], ticks[-1], value)
        )
        return bottom - (bottom - top) * (value - low) / (high - low)

    drawn = [
        (name, [(x(a), y(b)) for a, b in zip(*points, strict=True)], colour, False)
        for colour, (name, points) in enumerate(lines.items())
    ]
    made = LineChart(
        title, 560, 276, left, right, top, bottom,
        [Tick(x(value), f"{value:g}") for value in across],
        [Tick(y(value), f"{value:g}") for value in ticks],
        x_label, labelled(drawn, top, bottom),
    )  # fmt: skip
    return svg(560, 276, chart(made))


def words_picture(words: Sequence[str], held: Sequence[float], push: Sequence[float]) -> str:
    """A row for each word: how much of the last memory it wrote, and how far it moved the answer."""
    parts = [
        text(130, 20, "held: share of the memory", font_weight="bold"),
        text(370, 20, "push: towards negative | positive", font_weight="bold"),
    ]
    most_held, most_push = max(held), max(map(abs, push))
    height = 40 + 19 * len(words)
    parts.append(f'<path d="M460 28V{height - 10}" stroke="{RULE}"/>')
    for k, (word, share, moved) in enumerate(zip(words, held, push, strict=True)):
        y = 42 + 19 * k
        parts.append(f'<path d="M20 {y + 5}H620" stroke="{GRID}"/>')
        parts.append(text(120, y, word, text_anchor="end"))
        width = 150 * share / most_held
        parts.append(f'<rect x="130" y="{y - 9}" width="{width:.1f}" height="10" fill="{COLOURS[4]}"/>')
        parts.append(text(round(136 + width, 1), y, f"{share:.0%}"))
        width = 90 * abs(moved) / most_push
        start, colour = (460, COLOURS[0]) if moved > 0 else (460 - width, COLOURS[1])
        parts.append(f'<rect x="{start:.1f}" y="{y - 9}" width="{width:.1f}" height="10" fill="{colour}"/>')
        parts.append(text(600, y, f"{moved:+.2f}", text_anchor="end"))
    return svg(640, height, parts)


def recall(figures: dict[str, str], pictures: dict[str, str]) -> Reader:
    """Train the three networks; how their answers grew."""
    made = {name: learn(cell, LAG, 0, Budget(), horizon=start) for name, (cell, start) in STARTS.items()}
    for key, learned in zip(("rnn", "lstm", "long"), made.values(), strict=True):
        figures[f"accuracy_{key}"] = f"{learned.accuracy:.2f}"
    pictures["recall"] = plot(
        f"share of first symbols named after {LAG} others",
        "updates",
        {name: _points([(0, 1 / SYMBOLS), *got.curve]) for name, got in made.items()},
        (0, 0.25, 0.5, 0.75, 1),
        (0, 100, 200, 300),
    )
    return made["LSTM, long start"].model


def _points(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def untrained(name: str) -> Reader:
    cell, start = STARTS[name]
    torch.manual_seed(0)
    return Reader(cell, 2 * SYMBOLS, Budget().hidden_size, SYMBOLS, horizon=start)


def gradients(x: Tensor, labels: Tensor, figures: dict[str, str], pictures: dict[str, str]) -> None:
    """How much of the loss's gradient reaches back, before any training."""
    lines: Lines = {}
    for key, name in zip(("rnn", "lstm", "long"), STARTS, strict=True):
        flow = gw.memory.gradient_flow(untrained(name), x, lambda out: cross_entropy(out[0][-1], labels))
        layer = flow["recurrent"][0]
        sizes = layer.profile("h" if layer.dc is None else "c")
        lines[name] = (range(LAG + 1), (sizes / sizes[0]).tolist())
        figures[f"gradient_{key}"] = f"{float(sizes[-1] / sizes[0]):.0e}"
    pictures["gradients"] = plot(
        "size of the gradient, as a share of that at the last step",
        "steps back from the last",
        lines,
        (1e-16, 1e-12, 1e-8, 1e-4, 1),
        range(0, LAG + 1, 20),
    )


def ledger(
    model: Reader, x: Tensor, labels: Tensor, figures: dict[str, str], pictures: dict[str, str]
) -> None:
    """Who wrote what the trained network holds at the end, and how long its units keep, before and after training."""
    layers = []
    for one in (untrained("LSTM, long start"), model):
        with torch.no_grad(), gw.record(one) as trace:
            one(x)
        layers.append(trace["recurrent"][0])
    shares = [gw.memory.held(layer).mean(1) for layer in layers]
    book = gw.memory.ledger(layers[1])
    rows = model.output.weight.detach()  # [SYMBOLS, H]
    direction = rows[labels] - (rows.sum(0) - rows[labels]) / (SYMBOLS - 1)
    push = gw.memory.push(layers[1], None, direction).mean(1)
    figures |= {
        "held_before": f"{float(shares[0][0]):.1%}",
        "held_after": f"{float(shares[1][0]):.1%}",
        "even": f"{1 / (LAG + 1):.1%}",
        "residual": f"{book.residual / float(layers[1].c[-1].abs().max()):.0e}",
        "push_first": f"{float(push[0]):+.1f}",
        "push_rest": f"{float(push[1:].sum()):+.1f}",
    }
    steps = range(1, LAG + 2)
    pictures["ledger"] = plot(
        "who wrote the memory at the last step: share by step",
        "step that wrote",
        {
            name: (steps, share.tolist())
            for name, share in zip(("before training", "after"), shares, strict=True)
        },
        (0, 0.02, 0.04, 0.06, 0.08),
        (1, 21, 41, 61),
    )
    lives = [gw.memory.time_constants(layer).sort().values for layer in layers]
    for key, life in zip(("before", "after"), lives, strict=True):
        figures[f"median_{key}"], figures[f"longest_{key}"] = (
            f"{float(life.median()):.0f}",
            f"{float(life[-1]):.0f}",
        )
    units = range(1, len(lives[0]) + 1)
    pictures["time_constants"] = plot(
        "steps until a memory has faded to 1/e, by unit",
        "units, from the shortest memory to the longest",
        {
            name: (units, life.tolist())
            for name, life in zip(("before training", "after"), lives, strict=True)
        },
        (1, 10, 100, 1000),
        (1, 8, 16, 24, 32),
    )


@torch.no_grad()
def held_open(model: Reader, figures: dict[str, str], pictures: dict[str, str]) -> None:
    """The trained network on longer lags, as it is and with the belt held still after the first symbol."""
    still = slice(1, None)
    plain, held = [], []
    for lag in LONGER:
        x, labels = draw(ROWS, lag, generator=torch.Generator().manual_seed(lag))
        plain.append(_accuracy(model, x, labels))
        with gw.intervene(model, Hold("f", 1.0, steps=still), Hold("i", 0.0, steps=still)):
            held.append(_accuracy(model, x, labels))
    x, labels = draw(ROWS, LAG, generator=torch.Generator().manual_seed(LAG))
    with gw.intervene(model, Hold("f", 0.0, steps=LAG // 2)):
        figures["shut_once"] = f"{_accuracy(model, x, labels):.2f}"
    figures |= {
        "plain_far": f"{plain[-1]:.2f}",
        "still_near": f"{held[0]:.2f}",
        "still_far": f"{held[-1]:.2f}",
    }
    pictures["held_open"] = plot(
        "share of first symbols named, by lag",
        "lag",
        {"as trained": (LONGER, plain), "f = 1, i = 0": (LONGER, held)},
        (0, 0.25, 0.5, 0.75, 1),
        (60, 120, 240, 480),
    )


def _accuracy(model: Reader, x: Tensor, labels: Tensor) -> float:
    return float((model(x)[0][-1].argmax(-1) == labels).float().mean())


def review(figures: dict[str, str], pictures: dict[str, str]) -> None:
    reviews = load_reviews("train")
    assert reviews.labels is not None
    classifier = gw.Classifier(
        cell="lstm", pooling="last", embedding_size=32, hidden_size=16, chrono=60, epochs=5,
        batch_size=32, learning_rate=0.012, warmup=50, ema=0.98, threads=1,
    )  # fmt: skip
    why = classifier.fit(reviews.texts, reviews.labels).explain(REVIEW)
    order = sorted(range(len(why.words)), key=lambda k: -why.held[k])
    figures |= {
        "predicted": why.predicted,
        "probability": f"{why.probability:.2f}",
        "score": f"{why.score:+.2f}",
        "pushes": f"{sum(why.push):+.2f}",
        "review_bias": f"{why.bias + (why.initial or 0):+.2f}",
        "most_held": ", ".join(f"“{why.words[k]}” {why.held[k]:.0%}" for k in order[:4]),
    }
    pictures["review"] = words_picture(why.words, why.held, why.push)


def measure() -> tuple[dict[str, str], dict[str, str]]:
    """The figures by name, and the pictures, SVG, by name."""
    torch.set_num_threads(1)
    figures: dict[str, str] = {}
    pictures: dict[str, str] = {}
    x, labels = draw(ROWS, LAG, generator=torch.Generator().manual_seed(7))
    model = recall(figures, pictures)
    gradients(x, labels, figures, pictures)
    ledger(model, x, labels, figures, pictures)
    held_open(model, figures, pictures)
    review(figures, pictures)
    return figures, pictures


def main() -> None:
    figures, pictures = measure()
    write = "--write" in sys.argv[1:]
    folder = PAGE.parent / "images" / "tutorial" if write else Path("what_an_lstm_remembers")
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
    for name, value in figures.items():
        print(f"{name} = {value}")
    if write:
        page = PAGE.read_text(encoding="utf-8")
        page = re.sub(
            r"(<!--=(\w+)-->).*?(<!--/-->)", lambda m: m[1] + figures[m[2]] + m[3], page, flags=re.DOTALL
        )
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
