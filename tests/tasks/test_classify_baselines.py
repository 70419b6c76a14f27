"""The baselines against counting by hand and scikit-learn."""

import re

import numpy as np
import pytest
from classify_cases import reviews
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from gatewise.tasks.classify.baselines import BagOfWords, grams, majority_logits


def test_the_majority_gives_the_shares_of_training():
    found = np.exp(majority_logits(np.array([2, 2, 2, 0]), 3, 2))
    np.testing.assert_allclose(found, [[2 / 7, 1 / 7, 4 / 7]] * 2)


def test_grams_are_words_and_pairs():
    assert grams("It's GREAT, a film!") == [
        "it's",
        "great",
        "a",
        "film",
        "!",
        "it's great",
        "great a",
        "a film",
        "film !",
    ]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_model_is_scikit_learns(classes):
    texts, _ = reviews(90, seed=1)
    targets = np.arange(90) % classes
    mine = BagOfWords.train(texts, targets, classes)
    vectorizer = TfidfVectorizer(analyzer=grams, min_df=2, sublinear_tf=True)
    x = vectorizer.fit_transform(texts)
    assert mine.features == vectorizer.vocabulary_
    np.testing.assert_allclose(mine.idf, vectorizer.idf_, rtol=1e-12)
    # For two labels theirs has one column w with ‖w‖²/(2C); ours has ±w/2, whose ‖W‖²/(2C) is half of that.
    strength = mine.strength * (2 if classes == 2 else 1)
    reference = LogisticRegression(C=strength, max_iter=5000, tol=1e-10).fit(x, targets)
    new = reviews(30, seed=2)[0]
    z = mine.logits(new)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(p, reference.predict_proba(vectorizer.transform(new)), atol=2e-3)


def test_it_learns_and_chooses_its_strength_on_validation():
    texts, labels = reviews(400)
    targets = np.array([label == "pos" for label in labels]).astype(np.int64)
    model = BagOfWords.train(texts[:300], targets[:300], 2, (texts[300:], targets[300:]))
    new, truth = reviews(60, seed=4)
    assert (model.logits(new).argmax(1) == [label == "pos" for label in truth]).all()
    assert model.strength in (1.0, 5.0, 20.0, 100.0)
    again = BagOfWords.train(texts[:300], targets[:300], 2, (texts[300:], targets[300:]))
    assert (again.logits(new) == model.logits(new)).all()
    # A text of unknown words alone is judged by the bias.
    np.testing.assert_allclose(model.logits(["qwertz", ""]), [model.bias.tolist()] * 2, rtol=1e-6)


def test_the_scores_of_the_words_add_up_to_the_logits():
    texts, _ = reviews(60, seed=2)
    model = BagOfWords.train(texts, np.arange(60) % 3, 3)
    text = "The lovely film, and the music was dull; awful film."
    spans = [(match.start(), match.end()) for match in re.finditer(r"\w+|[.,;]", text)]
    scores = model.word_scores(text, spans)
    np.testing.assert_allclose(scores.sum(0), model.logits([text])[0] - model.bias.numpy(), atol=1e-6)
    assert abs(scores).sum(1).min() == 0 and not scores[-1].any()  # the full stop is no word of this model
    assert abs(scores[[1, 2, 7]]).sum(1).all()
