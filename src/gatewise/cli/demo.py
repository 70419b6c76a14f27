"""`gatewise demo`: a sentiment LSTM on the reviews that ship with the package, measured and explained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gatewise.cli.files import new_file
from gatewise.cli.output import JsonFlag, Output

if TYPE_CHECKING:
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.config import ClassifyConfig

REVIEW = (
    "Amazing movie! Movie was full of new surprises, audience had to hold back till the last minute to watch it. "
    "There was hardly any boring moment."
)
OPTIONS = {
    "cell": "lstm",
    "pooling": "last",  # the answer reads the last state alone: what it uses must have been held until then
    "forget_bias": 1.0,
    "embedding_size": 64,
    "hidden_size": 32,
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 1.2e-2,
    "warmup": 50,
    "ema": 0.98,
    "validation": 0.2,
    "device": "cpu",
}
LIMIT = "These figures are on reviews written for this package: they say nothing about real reviews."


def demo(
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where run and report go.")] = Path(
        "build/demo"
    ),
    seed: Annotated[int, typer.Option(help="Of split, first weights, order and dropout.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Train a small LSTM on 960 embedded reviews, test it on 240 others, and explain one review.

    It takes about a minute, needs no network, and leaves a run in FOLDER/run and a page in FOLDER/explanation.html.

    Example: [bold]gatewise demo[/bold]
    """
    from gatewise.data.reviews import load_reviews
    from gatewise.reports import print_explanation, render_html
    from gatewise.tasks.classify.config import ClassifyConfig
    from gatewise.tasks.classify.explanation import explain
    from gatewise.tasks.classify.recipe import train_texts

    out, begun = Output(as_json), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    training, test = load_reviews("train"), load_reviews("test")
    out.text.print(f"1. an LSTM learns from {len(training):,} short reviews that ship with the package")
    config = ClassifyConfig(**OPTIONS, seed=seed)  # type: ignore[arg-type]
    fitted = train_texts(training, config, out=folder / "run", overwrite=True, command="gatewise demo")
    out.text.print(f"\n2. its answers on the {len(test):,} test reviews, beside two simpler ways")
    figures = fitted.evaluate(test)
    rows = {"LSTM": figures, **_baselines(training, test, config, fitted.labels)}
    _print_rows(rows, out)
    out.text.print(LIMIT)
    out.text.print("\n3. why it answers as it does\n")
    explanation = explain(fitted, REVIEW)
    print_explanation(explanation, out.text)
    page = folder / "explanation.html"
    with new_file(page, overwrite=True) as stream:
        stream.write(render_html(explanation))
    seconds = time.monotonic() - begun
    out.text.print(f"\ndone in {seconds:.0f} s; the same as a page, to be opened in a browser: {page}")
    out.result(
        {"run": str(folder / "run"), "report": str(page), "seconds": seconds, "test": rows, "limit": LIMIT}
        | {"explanation": explanation.to_dict()}
    )


def _baselines(
    training: Texts, test: Texts, config: ClassifyConfig, labels: list[Any]
) -> dict[str, dict[str, Any]]:
    """The figures of two models that know no order of words, by name, from the same parts of the data."""
    from gatewise.tasks.classify.baselines import BagOfWords, majority_logits
    from gatewise.tasks.classify.fitted import label_indices
    from gatewise.tasks.classify.recipe import divide
    from gatewise.training.metrics import ClassCounts

    part, held_out = divide(training, None, config)
    assert held_out is not None
    targets, wanted = label_indices(part, labels), label_indices(test, labels)
    bags = BagOfWords.train(
        part.texts, targets, len(labels), (held_out.texts, label_indices(held_out, labels))
    )
    found = {
        "linear model on bags of words": bags.logits(test.texts),
        "most frequent label": majority_logits(targets, len(labels), len(test)),
    }
    return {name: ClassCounts.of(logits, wanted).figures(labels) for name, logits in found.items()}


def _print_rows(rows: dict[str, dict[str, Any]], out: Output) -> None:
    table = Table("", box=None, pad_edge=False)
    for title in ("accuracy", "macro F1"):
        table.add_column(title, justify="right")
    for name, figures in rows.items():
        table.add_row(name, f"{figures['accuracy']:.3f}", f"{figures['macro_f1']:.3f}")
    out.text.print(table)
