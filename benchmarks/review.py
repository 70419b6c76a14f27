"""The review that the demo explains, over seeds: is it read as positive, on which words, and how few does it keep?

    python -m benchmarks.review                                         # ten models of the demo, seeds 0 to 9
    python -m benchmarks.review RUN [RUN ...] --train train.jsonl.gz    # runs of your own; no near-copy in their data

A run's positive label is "positive" or "1".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable

from benchmarks.measure import machine
from gatewise.cli.demo import OPTIONS, REVIEW
from gatewise.data.reviews import load_reviews
from gatewise.data.texts import read_texts
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import FittedClassifier, load_fitted
from gatewise.tasks.classify.recipe import train_texts

WORDS = ("amazing", "surprises")
TOP = 5


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())
    return {tuple(words[k : k + 3]) for k in range(len(words) - 2)}


def nearest(texts: Iterable[str]) -> float:
    """The largest share of the review's word trigrams that one text holds."""
    own = trigrams(REVIEW)
    return max(len(own & trigrams(text)) / len(own) for text in texts)


def judged(name: str, fitted: FittedClassifier) -> dict[str, object]:
    """One line of the table, printed and returned."""
    explanation = explain(fitted, REVIEW)
    order = sorted(range(len(explanation.words)), key=lambda at: -explanation.push[at])
    ranks = {
        word: 1 + next(k for k, at in enumerate(order) if explanation.words[at].lower() == word)
        for word in WORDS
    }
    row = {
        "name": name,
        "positive": explanation.predicted in ("positive", "1"),
        "probability": explanation.probability,
        "ranks": ranks,
        "top": [explanation.words[at] for at in order[:TOP]],
        "kept": len(explanation.kept),
        "words": len(explanation.words),
    }
    found = all(rank <= TOP for rank in ranks.values())
    print(
        f"{name:24s} {explanation.predicted:>9s} {explanation.probability:6.1%}  "
        + "  ".join(f"{word} #{rank}" for word, rank in ranks.items())
        + f"  {'both' if found else 'MISS'}  kept {row['kept']} of {row['words']}: {', '.join(row['top'])}",
        flush=True,
    )
    return row | {"found": found}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--train", help="the runs' training data, to be searched for near-copies")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args(arguments)
    print(json.dumps(machine()))
    training = load_reviews("train")
    if given.runs:
        rows = [judged(run, load_fitted(run, device="cpu")) for run in given.runs]
    else:
        configs = [ClassifyConfig(**OPTIONS, seed=seed) for seed in range(given.seeds)]  # pyright: ignore[reportArgumentType]
        rows = [judged(f"demo, seed {c.seed}", train_texts(training, c, progress=None)) for c in configs]
    texts = read_texts(given.train).texts if given.train else training.texts
    for what in ("positive", "found"):
        print(f"{what}: {sum(bool(row[what]) for row in rows)} of {len(rows)}")
    print(
        f"at most a quarter kept: {sum(4 * int(r['kept']) <= int(r['words']) for r in rows)} of {len(rows)}"
    )
    print(f"most of the review's trigrams in one training text: {nearest(texts):.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
