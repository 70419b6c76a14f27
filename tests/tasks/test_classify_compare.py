"""The comparison: nested parts, equal tuning, a log that is continued."""

import json
from collections import Counter

import pytest
from classify_cases import SMALL, as_texts, reviews

from gatewise.errors import UsageError
from gatewise.tasks.classify import compare as module
from gatewise.tasks.classify.compare import compare, nested_order
from gatewise.tasks.classify.comparison import BAGS, MAJORITY, Comparison, Trial
from gatewise.tasks.classify.config import ClassifyConfig

CONFIG = ClassifyConfig(**SMALL | {"epochs": 4, "validation": 0.2})
TRAIN, TEST = as_texts(*reviews(60), "train.csv"), as_texts(*reviews(30, seed=7), "test.csv")


def run(**options):
    return compare(
        TRAIN,
        TEST,
        **{"config": CONFIG, "cells": ("gru", "lstm"), "learning_rates": (0.005, 0.02), "progress": None}
        | options,
    )


def test_every_beginning_of_the_order_is_stratified():
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    order = nested_order(labels, 3)
    assert sorted(order.tolist()) == list(range(100))
    for size in range(1, 101):
        counts = Counter(labels[i] for i in order[:size])
        for label, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
            assert abs(counts[label] - share * size) <= 1
    assert nested_order(labels, 4).tolist() != order.tolist()


def test_all_models_at_all_sizes_with_the_chosen_rate():
    found = run(sizes=[20, 60], seeds=(0, 1))
    assert [(row.size, row.model) for row in found.summary()] == [
        (size, model) for size in (20, 60) for model in (MAJORITY, BAGS, "gru", "lstm")
    ]
    assert all(row.seeds == 2 for row in found.summary())
    for size in (20, 60):
        majority = next(r for r in found.summary() if (r.model, r.size) == (MAJORITY, size))
        assert majority.test_accuracy == 0.5
    trials = [t for t in found.trials if (t.model, t.size) == ("lstm", 60)]
    assert [(t.seed, t.tuned) for t in trials[:2]] == [(0, 0.005), (0, 0.02)]
    best = max(trials[:2], key=lambda t: (t.validation_accuracy, -t.validation_loss))
    assert [(t.seed, t.tuned) for t in trials[2:]] == [(1, best.tuned)]


def test_nothing_is_chosen_by_the_test_set():
    shared = {
        "size": 9,
        "seed": 0,
        "validation_loss": 1.0,
        "test_macro_f1": 0.0,
        "parameters": 1,
        "seconds": 1.0,
    }
    trials = [
        Trial("lstm", tuned=0.1, validation_accuracy=0.9, test_accuracy=0.1, **shared),
        Trial("lstm", tuned=0.2, validation_accuracy=0.8, test_accuracy=0.99, **shared),
        Trial("lstm", tuned=0.1, validation_accuracy=0.7, test_accuracy=0.3, **shared | {"seed": 1}),
    ]
    (row,) = Comparison(trials).summary()
    assert (row.tuned, row.seeds) == (0.1, 2)
    assert row.test_accuracy == pytest.approx(0.2)
    assert row.validation_accuracy == pytest.approx(0.8)
    assert Comparison(trials).to_markdown().splitlines()[2].split("|")[1:6] == [
        "     9 ", "  lstm ", "   0.1 ", "    80.00 % ", " 20.00 % ",
    ]  # fmt: skip


def test_a_log_is_continued_and_not_trained_again(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    whole = run(log=log)
    lines = log.read_text().splitlines(keepends=True)
    # Two baselines, two rates for each of two cells, and the test figures of the better rate of each.
    assert len(whole.trials) == 6 and len(lines) == 8
    # Killed within the fifth line: four trials stand; the first cell is trained again for its test figures.
    log.write_text("".join(lines[:4]) + lines[4][:20])
    trained = []
    real = module.train_texts
    monkeypatch.setattr(module, "train_texts", lambda *a, **k: trained.append(1) or real(*a, **k))
    again = run(log=log)
    assert len(trained) == 3
    assert [t.test_accuracy for t in again.trials] == [t.test_accuracy for t in whole.trials]
    assert again.trials[:4] == whole.trials[:4]
    assert len(log.read_text().splitlines()) == 8
    assert run(log=log).trials == again.trials and len(trained) == 3
    json.dumps(again.to_dict(), allow_nan=False)


def test_a_log_of_something_else_is_refused(tmp_path):
    log = tmp_path / "log.jsonl"
    run(log=log, cells=())
    with pytest.raises(UsageError, match="line 1: a trial on other data or with other options"):
        run(log=log, config=ClassifyConfig(**SMALL | {"epochs": 5}))
    log.write_text("{}\n")
    with pytest.raises(UsageError, match="line 1: not a trial of a comparison"):
        run(log=log)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": [10, 61]}, "sizes go from 10 to 61; there are 60 training texts"),
        ({"sizes": [1]}, "sizes go from 1 to 1"),
        ({"cells": ("lstm", "tree")}, "cell is 'tree'"),
        ({"config": ClassifyConfig(validation=0)}, "a comparison needs a validation part"),
    ],
)
def test_bad_calls_are_refused_before_anything_is_trained(options, sentence, monkeypatch):
    monkeypatch.setattr(module, "train_texts", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(UsageError, match=sentence):
        run(**options)


def test_without_a_test_set_its_columns_are_empty():
    found = compare(TRAIN, config=CONFIG, cells=(), progress=None)
    assert all(row.test_accuracy is None for row in found.summary())
    assert "50.00 % |      |" in found.to_markdown()
