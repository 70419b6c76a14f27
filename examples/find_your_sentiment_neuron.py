"""Train a small LSTM on the reviews that ship with the package, and find the unit of it that tracks the sentiment.

    python examples/find_your_sentiment_neuron.py

After Radford, Jozefowicz & Sutskever 2017, who found such a unit in a language model that had seen no label. This LSTM
was taught the label, so that a unit tracks it is no surprise; how much of it one unit holds, and which words move it,
is. Units are looked for on reviews that it was not trained on. Needs scikit-learn for the probe.
"""

import gatewise as gw
from gatewise.data.reviews import load_reviews


def main() -> None:
    reviews, unseen = load_reviews("train"), load_reviews("test")
    assert reviews.labels is not None and unseen.labels is not None
    clf = gw.Classifier(
        cell="lstm", pooling="last", forget_bias=4.0, embedding_size=32, hidden_size=16, epochs=4,
        batch_size=32, learning_rate=0.02, warmup=30, ema=0.98, threads=1,
    )  # fmt: skip
    clf.fit(reviews.texts[:1500], reviews.labels[:1500])

    found = clf.units(unseen.texts, unseen.labels, count=1)
    (best,) = found.units
    print(
        f"unit {best.unit} of {len(found.tracking.p)}: {best.correlation:+.3f} with the label, p {best.p:.3f}"
    )
    print(
        f"it is larger for {best.label} reviews, and half of what it holds is gone after {best.half_life:.1f} words"
    )
    print("rises at:", ", ".join(f"{word} {change:+.2f}" for word, change, _ in best.raised_by))
    print("falls at:", ", ".join(f"{word} {change:+.2f}" for word, change, _ in best.lowered_by))
    if found.probe is not None:
        scores = found.probe
        print(
            f"label read off all units {scores.score:.2f}, off this one alone {scores.one_unit:.2f}, "
            f"always the same {scores.majority:.2f}, labels shuffled {scores.shuffled:.2f}"
        )


if __name__ == "__main__":
    main()
