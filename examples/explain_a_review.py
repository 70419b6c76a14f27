"""Train a small sentiment classifier on the reviews that ship with the package, and explain one answer.

    python examples/explain_a_review.py

Held is the share of the final memory that a word wrote; push is how far it moved the score, and which way.
The model is small and trained for seconds: it shows how to ask, not how well a model can answer.
"""

import gatewise as gw
from gatewise.data.reviews import load_reviews

REVIEW = "The plot is thin, but the cast is wonderful and I laughed all evening."


def main() -> None:
    reviews = load_reviews("train")
    assert reviews.labels is not None
    clf = gw.Classifier(
        cell="lstm", pooling="last", embedding_size=64, hidden_size=32, epochs=8,
        batch_size=32, learning_rate=0.012, warmup=50, ema=0.98, threads=1,
    )  # fmt: skip
    clf.fit(reviews.texts, reviews.labels)

    why = clf.explain(REVIEW)
    print(f"{REVIEW}\n{why.predicted}, probability {why.probability:.2f}\n")
    print(f"{'word':12} {'held':>6} {'push':>8}")
    for word, held, push in zip(why.words, why.held, why.push, strict=True):
        print(f"{word:12} {held:6.1%} {push:+8.3f}")
    total = sum(why.push) + why.initial + why.bias
    print(f"\npushes + initial state + bias = {total:.4f}; the score is {why.score:.4f}")


if __name__ == "__main__":
    main()
