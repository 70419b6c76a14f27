"""gw.Classifier keeps scikit-learn's conventions, and explicit keywords in step with the recipe's options."""

import inspect
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from classify_cases import SMALL, reviews, waves
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError as TheirNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from gatewise.errors import DataError, UsageError
from gatewise.tasks.classify import Classifier, ClassifyConfig, load
from gatewise.training.config import rule

X, y = reviews(120)


@pytest.fixture(scope="module")
def fitted():
    return Classifier(**SMALL).fit(X, y)


def test_keywords_are_the_options_of_the_recipe_with_their_defaults():
    keywords = inspect.signature(Classifier.__init__).parameters
    options = {item.name: item.default for item in fields(ClassifyConfig) if rule(item).group != "data"}
    assert {name: p.default for name, p in keywords.items() if name != "self"} == options


def test_fit_predict_score(fitted):
    new, truth = reviews(40, seed=6)
    assert fitted.classes_.tolist() == ["neg", "pos"]
    assert fitted.predict(new).tolist() == truth
    p = fitted.predict_proba(new)
    assert (fitted.classes_[p.argmax(1)] == fitted.predict(new)).all()
    assert fitted.score(new, truth) == 1.0
    assert fitted.score(new, ["pos"] * 40) == 0.5
    assert fitted.score(new, ["pos"] * 40, sample_weight=[0, 1] * 20) == 1.0
    assert fitted.evaluate(new, truth)["macro_f1"] == 1.0


def test_clone_keeps_the_options_and_drops_the_fit(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(UsageError, match="not fitted yet"):
        copy.predict(X)
    again = clone(copy).set_params(hidden_size=5)
    assert (again.hidden_size, copy.hidden_size) == (5, 12)
    with pytest.raises(UsageError, match=r"unknown option 'hidden'; did you mean hidden_size\?"):
        again.set_params(hidden=5)


def test_not_fitted_is_what_scikit_learn_and_its_users_catch(fitted):
    raw = Classifier()
    for kind in (ValueError, AttributeError):
        with pytest.raises(kind):
            raw.predict_proba(X)
    with pytest.raises(TheirNotFittedError):
        check_is_fitted(raw)
    check_is_fitted(fitted)


def test_it_works_in_a_pipeline_and_in_cross_validation():
    assert is_classifier(Classifier())
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("lstm", Classifier(**SMALL))])
    shouted = [text.upper() for text in X]
    assert pipeline.fit(shouted, y).score(shouted, y) == 1.0
    scores = cross_val_score(Classifier(**SMALL), *reviews(300), cv=2)
    assert scores.min() > 0.95
    search = GridSearchCV(Classifier(**SMALL), {"cell": ["gru"]}, cv=2).fit(X, y)
    assert search.best_params_ == {"cell": "gru"}


@pytest.mark.parametrize(
    ("labels", "kind"), [([0, 1], "i"), ([False, True], "b"), (["a", "b"], "U"), ([10, -3], "i")]
)
def test_labels_keep_their_kind_also_through_a_folder(labels, kind, tmp_path):
    truth = np.array([labels[k % 2] for k in range(len(X))])
    classifier = Classifier(**SMALL | {"epochs": 8}).fit(X, truth)
    assert classifier.classes_.tolist() == sorted(labels)
    classifier.save(tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.predict(X).dtype.kind == classifier.predict(X).dtype.kind == kind
    assert (again.predict(X) == classifier.predict(X)).all()
    assert classifier.score(X, truth) > 0.9
    assert again.get_params() == classifier.get_params()
    assert again.evaluate(X, truth)["accuracy"] == classifier.score(X, truth)


def test_arrays_of_numbers():
    values, labels = waves(60)
    classifier = Classifier(**SMALL, pooling="last").fit(values, labels)
    assert classifier.score(*waves(20, seed=5)) == 1.0
    stacked = np.stack([one[:5] for one in values])
    assert classifier.predict(stacked).shape == (60,)


@pytest.mark.parametrize(
    ("inputs", "labels", "kind", "sentence"),
    [
        (["a b", "c"], ["x"], UsageError, "X has 2 examples and y has 1 labels"),
        ([], [], DataError, "X has no example"),
        ("a text", ["x"], UsageError, "X is one text; a list of texts is needed"),
        (["a", 3], ["x", "y"], UsageError, "X holds texts and a int"),
        ([np.zeros(3), np.zeros(3)], [0, 1], UsageError, "example 1 is neither a text nor numbers"),
        ([None, None], [0, 1], UsageError, "example 1 is neither a text nor numbers"),
        (
            [np.zeros((3, 2)), np.zeros((3, 1))],
            [0, 1],
            UsageError,
            "example 2 has 1 features; the first has 2",
        ),
        (["a", "b"], ["x", "x"], DataError, "two labels are needed"),
        (["a", "b"], ["x", "y"], DataError, "one example of each of the 2 labels, so none can be held out"),
        (["a", "b"], [["x"], ["y"]], UsageError, r"y has shape \(2, 1\); it holds one label an example"),
        (["a", "b"], ["x", None], UsageError, "the label of example 2 is None, neither a text nor a number"),
        (["a", "b"], [1.0, float("nan")], UsageError, "the label of example 2 is nan"),
        (
            ["a", "b"],
            np.array([1, "x"], dtype=object),
            UsageError,
            "y holds texts and numbers: 1 and, as example 2, 'x'",
        ),
        (
            [np.zeros((3, 2)), np.array([[0, 0], [0, np.inf]])],
            [0, 1],
            UsageError,
            "example 2, step 2, feature 2: the value is infinite",
        ),
    ],
)
def test_what_cannot_be_fitted(inputs, labels, kind, sentence):
    with pytest.raises(kind, match=sentence):
        Classifier(**SMALL).fit(inputs, labels)


def test_a_validation_part_of_ones_own_is_noted_as_given(fitted):
    own = Classifier(**SMALL | {"epochs": 1}).fit(X, y, validation=reviews(20, seed=8))
    assert own.metrics_["split"] == {"training": 120, "validation": 20, "how": "given"}
    assert own.metrics_["validation_data"]["examples"] == 20
    assert fitted.metrics_["split"] == {
        "training": 108,
        "validation": 12,
        "how": "0.1 held out by label, seed 0",
    }


def test_what_a_model_of_numbers_cannot_answer():
    classifier = Classifier(**SMALL | {"epochs": 1}).fit(*waves(20))
    with pytest.raises(UsageError, match="example 2 is neither a text nor numbers"):
        classifier.predict([np.zeros((3, 2)), "a text"])
    with pytest.raises(UsageError, match="example 1, step 1, feature 2: the value is infinite"):
        classifier.predict([np.array([[0, -np.inf]])])


def test_options_are_checked_at_fit():
    with pytest.raises(UsageError, match=r"Classifier: dropout is 2; it must be in \[0, 1\)"):
        Classifier(dropout=2).fit(X, y)


def test_repr_names_what_differs():
    assert repr(Classifier(cell="gru", epochs=3)) == "Classifier(cell='gru', epochs=3)"


def test_scikit_learn_is_not_imported_by_us():
    script = (
        "import sys; import gatewise as gw; c = gw.Classifier(epochs=1).fit(['a b', 'b c'] * 9, [0, 1] * 9); "
        "c.predict(['a']); sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
