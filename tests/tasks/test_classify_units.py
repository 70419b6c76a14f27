"""Units of a trained run that track the label, against its LSTM written out in NumPy."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, lstm_in_numpy, reviews, waves
from scipy import stats

from gatewise.errors import DataError, UsageError
from gatewise.tasks.classify import units
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.near import nearest_states
from gatewise.tasks.classify.recipe import train_series, train_texts
from gatewise.tasks.classify.units import find_units

DATA = as_texts(*reviews(90, seed=1))


@pytest.fixture(scope="module")
def fitted():
    config = ClassifyConfig(**SMALL | {"pooling": "last"})
    return train_texts(as_texts(*reviews()), config, progress=None, baselines=False)


@pytest.fixture(scope="module")
def steps(fitted):
    """Every step of every text of DATA, in NumPy."""
    return [lstm_in_numpy(fitted, text) for text in DATA.texts]


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr("gatewise.tasks.classify.states.STEPS_AT_ONCE", 60)


@pytest.mark.parametrize("state", ["c", "h", None])
def test_correlations_are_those_of_the_last_states(fitted, steps, state, small_batches):
    found = find_units(fitted, DATA, count=12, state=state, permutations=19)
    assert (found.state, found.tracking.classes) == (state or "c", ["neg", "pos"])
    final = np.array([one[-1][state or "c"] for one in steps])
    is_pos = np.array(DATA.labels) == "pos"
    expected = [stats.pointbiserialr(is_pos, final[:, unit])[0] for unit in range(12)]
    np.testing.assert_allclose(found.tracking.correlation, expected, atol=1e-4)
    assert [unit.unit for unit in found.units] == np.argsort(-np.abs(expected), kind="stable").tolist()
    for unit in found.units:
        assert unit.correlation == pytest.approx(expected[unit.unit], abs=1e-4)
        assert unit.label == ("pos" if unit.correlation > 0 else "neg") and unit.direction == "forward"
        assert unit.p == float(found.tracking.p[unit.unit])


def test_half_lives_are_over_all_steps_of_all_batches(fitted, steps, small_batches):
    forget = np.array([step["f"] for one in steps for step in one])
    expected = np.log(0.5) / np.log(forget).mean(0)
    for unit in find_units(fitted, DATA, permutations=9).units:
        assert unit.half_life == pytest.approx(expected[unit.unit], rel=1e-4)


def test_words_by_the_mean_change_of_the_state(fitted, steps, small_batches):
    found = find_units(fitted, DATA, words=3, permutations=9)
    for unit in found.units:
        changes = defaultdict(list)
        for text, one in zip(DATA.texts, steps, strict=True):
            before = 0.0
            for word, step in zip(text.split(), one, strict=True):
                changes[word].append(step["c"][unit.unit] - before)
                before = step["c"][unit.unit]
        means = sorted((-np.mean(values), word) for word, values in changes.items() if len(values) >= 5)
        rising = [(word, -mean) for mean, word in means if mean < 0][:3]
        falling = [(word, -mean) for mean, word in means[::-1] if mean > 0][:3]
        for moved, expected in ((unit.raised_by, rising), (unit.lowered_by, falling)):
            assert [one.word for one in moved] == [word for word, _ in expected]
            np.testing.assert_allclose(
                [one.change for one in moved], [mean for _, mean in expected], atol=1e-5
            )
            assert all(one.times == len(changes[one.word]) for one in moved)


def test_the_sentiment_neuron_of_the_toy_is_moved_by_the_words_that_decide(fitted):
    found = find_units(fitted, DATA, count=1, words=3, permutations=199)
    (best,) = found.units
    assert best.p == 1 / 200 and abs(best.correlation) > 0.8
    up, down = ({one.word for one in moved} for moved in (best.raised_by, best.lowered_by))
    good, bad = {"great", "lovely", "superb"}, {"awful", "dull", "boring"}
    assert (up, down) == ((good, bad) if best.label == "pos" else (bad, good))
    probe = found.probe
    assert probe is not None and probe.one_unit > 0.9 and probe.score > 0.9
    assert probe.majority == 0.5 and probe.shuffled < 0.75


def test_unknown_words_and_empty_texts_are_left_out(fitted):
    labels = list(DATA.labels or [])
    data = replace(DATA, texts=[*DATA.texts, "", *["zzz"] * 9], labels=[*labels, "pos", *["neg"] * 9])
    data = replace(data, ids=[str(k) for k in range(len(data.texts))])
    found = find_units(fitted, data, words=20, permutations=9)
    assert (
        found.notes == ["1 of 100 inputs have no step and were left out"] and found.tracking.sequences == 99
    )
    shown = {one.word for unit in found.units for one in unit.raised_by + unit.lowered_by}
    assert shown and not any("unk" in word or word == "zzz" for word in shown)


def test_a_reverse_direction_ends_at_the_first_step():
    config = ClassifyConfig(**SMALL | {"cell": "gru", "bidirectional": True, "epochs": 1, "hidden_size": 4})
    fitted = train_texts(as_texts(*reviews(60)), config, progress=None, baselines=False)
    found = find_units(fitted, DATA, count=8, permutations=9)
    assert found.state == "h"
    ends = []
    for text in DATA.texts:
        (array,) = fitted.encoder.full([text])
        with torch.no_grad():
            h = fitted.network.hidden(*fitted.encoder.collate([array]))[:, 0]
        ends.append(torch.cat([h[-1, :4], h[0, 4:]]).double().numpy())
    is_pos = np.array(DATA.labels) == "pos"
    for unit in found.units:
        place = unit.unit + (4 if unit.direction == "reverse" else 0)
        r = stats.pointbiserialr(is_pos, np.array(ends)[:, place])[0]
        assert unit.correlation == pytest.approx(r, abs=1e-4)
    assert {unit.direction for unit in found.units} == {"forward", "reverse"}


def test_numeric_sequences_and_a_plain_rnn():
    config = ClassifyConfig(**SMALL | {"cell": "rnn", "epochs": 2})
    fitted = train_series(as_series(*waves()), config, progress=None)
    found = find_units(fitted, as_series(*waves(seed=3)), permutations=9)
    assert all((unit.half_life, unit.raised_by) == (None, []) for unit in found.units)
    with pytest.raises(UsageError, match="state is 'c', and a rnn_tanh has no cell state; 'h' is there"):
        find_units(fitted, as_series(*waves()), state="c")
    with pytest.raises(UsageError, match="this run reads numeric sequences"):
        nearest_states(fitted, DATA, "fine")


def test_what_is_written_is_json(fitted):
    found = find_units(fitted, DATA, permutations=9)
    never = replace(found, units=[replace(found.units[0], half_life=float("inf"))])
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["labels"] == ["neg", "pos"]
    assert never.to_dict()["units"][0]["half_life"] is None


def test_without_scikit_learn_there_is_no_probe(fitted, monkeypatch):
    monkeypatch.setattr(units, "find_spec", lambda name: None)
    found = find_units(fitted, DATA, permutations=9)
    assert found.probe is None and found.to_dict()["probe"] is None


def test_nearest_states_of_a_text_of_the_corpus(fitted, steps, small_batches):
    first, *others = nearest_states(fitted, DATA, DATA.texts[7], count=4)
    assert (first.sequence, first.step) == (7, len(steps[7]) - 1) and first.distance < 1e-3
    asked = steps[7][-1]["c"]
    distances = sorted(
        (float(np.linalg.norm(step["c"] - asked)), b, t)
        for b, one in enumerate(steps)
        for t, step in enumerate(one)
    )
    np.testing.assert_allclose(
        [one.distance for one in others], [d for d, _, _ in distances[1:4]], rtol=1e-3, atol=1e-4
    )
    for one in others:
        assert one.word == DATA.texts[one.sequence].split()[one.step]
        assert one.label == (DATA.labels or [])[one.sequence]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda f: find_units(f, replace(DATA, labels=None)),
            DataError,
            "there are no labels that units could track",
        ),
        (
            lambda f: find_units(f, replace(DATA, texts=[""] * 90)),
            DataError,
            "none of the 90 inputs has a step",
        ),
        (lambda f: find_units(f, replace(DATA, labels=["pos"] * 90)), UsageError, "every label is 'pos', so"),
        (lambda f: find_units(f, DATA, count=0), UsageError, "count is 0 and words 6"),
        (lambda f: find_units(f, DATA, state="o"), UsageError, "state is 'o'; it can be 'c' or 'h'"),
        (lambda f: find_units(f, DATA.subset([0, 1])), UsageError, "2 sequences cannot be dealt anew"),
        (lambda f: nearest_states(f, DATA, " "), DataError, "the text is empty"),
        (
            lambda f: nearest_states(f, replace(DATA, texts=[""] * 90), "fine"),
            DataError,
            "every text is empty",
        ),
        (lambda f: nearest_states(f, DATA, "fine", metric="l1"), UsageError, "metric is 'l1'"),
    ],
)
def test_refused_in_one_sentence(fitted, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(fitted)
