"""`gatewise demo`: what a plain RNN forgets and an LSTM keeps, first on symbols, then on the embedded reviews."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gatewise.cli.output import JsonFlag, Output
from gatewise.files import new_file

if TYPE_CHECKING:
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.config import ClassifyConfig
    from gatewise.tasks.classify.fitted import FittedClassifier

REVIEW = (
    "Amazing movie! Movie was full of new surprises, audience had to hold back till the last minute to watch it. "
    "There was hardly any boring moment."
)
OPTIONS = {
    "cell": "lstm",
    "pooling": "last",  # the answer reads the last state alone: what it uses must have been held until then
    "forget_bias": 4.0,  # the belt starts out keeping: a time constant of 55 words
    "embedding_size": 64,
    "hidden_size": 32,
    "word_dropout": 0.2,
    "embedding_dropout": 0.5,
    "epochs": 8,
    "batch_size": 32,
    "learning_rate": 1.2e-2,
    "warmup": 50,
    "ema": 0.98,
    "validation": 0.2,
    "device": "cpu",
}
CELLS = ("rnn", "gru", "lstm")
LAG = 100
LIMIT = "These figures are on reviews written for this package: they say nothing about real reviews."


def demo(
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where runs and report go.")] = Path(
        "build/demo"
    ),
    seed: Annotated[int, typer.Option(help="Of split, first weights, order and dropout.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Show what a plain RNN forgets; train a small LSTM on embedded reviews, test it on others, and explain one.

    It takes one to three minutes and needs no network. It leaves the runs FOLDER/run (the LSTM), FOLDER/run-gru and
    FOLDER/run-rnn, and a page in FOLDER/explanation.html.

    Example: [bold]gatewise demo[/bold]
    """
    from gatewise.data.reviews import load_reviews
    from gatewise.reports import print_explanation
    from gatewise.tasks.classify.explanation import explain

    out, begun = Output(as_json), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    recalled = _recall(seed, out)
    training, test = load_reviews("train"), load_reviews("test")
    out.text.print(f"\n2. an LSTM learns from {len(training):,} short reviews that ship with the package")
    runs = _train(training, folder, seed)
    out.text.print(f"\n3. its answers on the {len(test):,} test reviews, beside other models")
    rows = {cell.upper(): fitted.evaluate(test) for cell, fitted in runs.items()}
    rows |= _baselines(training, test, runs["lstm"].config, runs["lstm"].labels)
    _print_rows(rows, out)
    out.text.print(LIMIT)
    out.text.print("\n4. why it answers as it does\n")
    explanation = explain(runs["lstm"], REVIEW, beside=[runs["rnn"], runs["gru"]])
    print_explanation(explanation, out.text)
    page = folder / "explanation.html"
    with new_file(page, overwrite=True) as stream:
        stream.write(explanation.to_html())
    seconds = time.monotonic() - begun
    out.text.print(f"\ndone in {seconds:.0f} s; the same as a page, to be opened in a browser: {page}")
    out.result(
        {"run": str(folder / "run"), "report": str(page), "seconds": seconds}
        | {"recall": recalled, "test": rows, "limit": LIMIT, "explanation": explanation.to_dict()}
    )


def _recall(seed: int, out: Output) -> dict[str, Any]:
    """How often each cell names a symbol that it saw LAG steps before."""
    from gatewise.synthetic.recall import SYMBOLS, TEST, race

    out.text.print(f"1. three cells learn to name the first symbol of a sequence, {LAG} symbols later")
    found = {cell: learned.accuracy for cell, learned in race(LAG, CELLS, seed).items()}
    for cell, accuracy in found.items():
        out.text.print(f"{cell.upper():>5}  {accuracy:6.1%} of {TEST:,} unseen sequences")
    out.text.print(f"A guess is right in {1 / SYMBOLS:.0%}.")
    return {"lag": LAG, "chance": 1 / SYMBOLS, "accuracy": found}


def _train(training: Texts, folder: Path, seed: int) -> dict[str, FittedClassifier]:
    """The three cells with the same options on the same split; the LSTM is the demo's run, the others stand beside."""
    from gatewise.tasks.classify.config import ClassifyConfig
    from gatewise.tasks.classify.recipe import train_texts

    runs = {}
    for cell in reversed(CELLS):
        config = ClassifyConfig(**OPTIONS | {"cell": cell}, seed=seed)  # type: ignore[arg-type]
        runs[cell] = train_texts(
            training,
            config,
            out=folder / ("run" if cell == "lstm" else f"run-{cell}"),
            overwrite=True,
            progress="auto" if cell == "lstm" else None,
            command="gatewise demo",
        )
    return runs


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
