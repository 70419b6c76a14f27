"""Do the words with the highest push carry the answer? What the score loses without them, beside other rankings.

    python -m benchmarks.faithfulness RUN [RUN ...] --train train.jsonl.gz --test test.jsonl.gz

For each of 500 test reviews the tenth of its words that a ranking puts highest towards the predicted label is left
out, and the fall of the label's score (its logit minus the mean of the others; for two labels the log odds) is
measured; comprehensiveness of DeYoung et al. 2020, "ERASER", on the scale of logits. The rankings: push; gradient times
input on the embeddings; occlusion (each word left out alone); a linear model on bags of words (it knows no run);
words drawn at random (20 draws a review); the last words.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import machine
from gatewise.data.texts import Texts, read_texts
from gatewise.data.tokenizer import kept_positions
from gatewise.tasks.classify.baselines import BagOfWords
from gatewise.tasks.classify.deletion import contrast, variants
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import FittedClassifier, label_indices, load_fitted

Floats = NDArray[np.float64]
DRAWS, SHARE, LEAST_WORDS, SEED = 20, 0.1, 20, 0


@dataclass(frozen=True)
class Review:
    """A test review as a run reads it: token ids [T], the place of each among all its words, and where these stand."""

    text: str
    ids: NDArray[np.int64]
    places: NDArray[np.int64]
    spans: list[tuple[int, int]]


def read(fitted: FittedClassifier, text: str) -> Review:
    assert isinstance(fitted.encoder, TextEncoder)
    full = fitted.encoder.full([text])
    config = fitted.config
    places = kept_positions(len(full[0]), config.max_length, config.truncate)
    spans = fitted.encoder.tokenizer.encode(text).spans
    return Review(text, fitted.encoder.cut(full)[0], places, [spans[place] for place in places])


def falls(fitted: FittedClassifier, review: Review, chosen: int, left_out: NDArray[np.bool_]) -> Floats:
    """How far the score of `chosen` falls without the words of each mask; [M, T] -> [M]."""
    whole = np.zeros((1, left_out.shape[1]), bool)
    scores = contrast(variants(fitted, review.ids, np.concatenate([whole, left_out])).T, chosen)
    return scores[0] - scores[1:]


def highest(values: Floats, count: int) -> NDArray[np.bool_]:
    """Mask of the `count` highest values; earlier words first where they are equal."""
    mask = np.zeros(len(values), bool)
    mask[np.argsort(-values, kind="stable")[:count]] = True
    return mask


def gradient_times_input(fitted: FittedClassifier, review: Review, chosen: int) -> Floats:
    """Σ_e ∂score/∂x_te · x_te on the embedded words; [T]."""
    network = fitted.network
    assert network.embedding is not None
    ids, lengths = fitted.encoder.collate([review.ids])
    x = network.embedding(ids).detach().requires_grad_()  # [T, 1, E]
    h, _ = network.recurrent(x, lengths=lengths)
    logits = network.output(network.pooling(h, lengths))[0]  # [K]
    (slope,) = torch.autograd.grad(contrast(logits, chosen), x)
    return (slope * x).sum(-1)[:, 0].detach().double().numpy()


def compared(
    fitted: FittedClassifier, bags: BagOfWords, text: str, generator: np.random.Generator
) -> dict[str, float]:
    """The fall of one review's score under each ranking, and the share of the score that its pushes leave open."""
    review = read(fitted, text)
    words = len(review.ids)
    count = math.ceil(SHARE * words)
    logits = variants(fitted, review.ids, np.zeros((1, words), bool))
    chosen = int(logits[0].argmax())
    explanation = explain(fitted, text, fitted.labels[chosen], evidence=False)
    values = {
        "push": np.array(explanation.push)[review.places],
        "occlusion": falls(fitted, review, chosen, np.eye(words, dtype=bool)),
        "gradient x input": gradient_times_input(fitted, review, chosen),
        "bag of words": bags.word_scores(text, review.spans)[:, chosen],
        "last words": np.arange(words, dtype=np.float64),
    }
    random = [highest(generator.random(words), count) for _ in range(DRAWS)]
    masks = np.stack([*(highest(ranking, count) for ranking in values.values()), *random])
    found = falls(fitted, review, chosen, masks)
    scale = sum(map(abs, explanation.push)) + abs(explanation.bias)
    return dict(zip(values, found.tolist(), strict=False)) | {
        "random": float(found[len(values) :].mean()),
        "residual": abs(explanation.residual) / scale,
    }


def interval(values: Floats) -> tuple[float, float, float]:
    """Mean with its bootstrap 95 % interval over the reviews."""
    draws = np.random.default_rng(SEED).choice(values, (2000, len(values))).mean(1)
    return float(values.mean()), *map(float, np.percentile(draws, (2.5, 97.5)))


def sample(data: Texts, count: int, encoder: TextEncoder) -> list[str]:
    """`count` texts of at least 20 words, drawn by SEED."""
    order = np.random.default_rng(SEED).permutation(len(data.texts))
    lengths = [len(ids) for ids in encoder.full(data.texts)]
    return [data.texts[k] for k in order if lengths[k] >= LEAST_WORDS][:count]


def summary(rows: list[dict[str, float]]) -> dict[str, object]:
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    residual = table.pop("residual")
    random = table["random"].mean()
    return {
        "reviews": len(rows),
        "fall": {name: interval(values) for name, values in table.items()},
        "times_random": {name: float(values.mean() / random) for name, values in table.items()},
        "push_minus_bag_of_words": interval(table["push"] - table["bag of words"]),
        "largest_residual": float(residual.max()),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--train", required=True, help="for the linear model on bags of words")
    parser.add_argument("--test", required=True)
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args(arguments)
    print(json.dumps(machine()))
    fitted = [load_fitted(run, device="cpu") for run in given.runs]
    training, test = read_texts(given.train), read_texts(given.test)
    bags = BagOfWords.train(training.texts, label_indices(training, fitted[0].labels), len(fitted[0].labels))
    encoder = fitted[0].encoder
    assert isinstance(encoder, TextEncoder)
    texts, results = sample(test, given.reviews, encoder), {}
    for run, model in zip(given.runs, fitted, strict=True):
        generator = np.random.default_rng(SEED)
        results[run] = summary([compared(model, bags, text, generator) for text in texts])
        print(f"{run}  ({model.config.cell}, {model.config.pooling} pooling)")
        for name, (mean, low, high) in results[run]["fall"].items():
            print(
                f"  {name:18s} {mean:6.3f} [{low:.3f}, {high:.3f}]   {results[run]['times_random'][name]:5.1f}"
            )
        print(
            f"  largest residual of a sum, as a share of it: {results[run]['largest_residual']:.1e}",
            flush=True,
        )
    if given.out:
        given.out.write_text(
            json.dumps({"machine": machine(), "seed": SEED, "runs": results}, indent=1), "utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
