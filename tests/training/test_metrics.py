"""Figures against scikit-learn, written-out examples, and closed forms."""

import numpy as np
import pytest
from sklearn import metrics as reference

from gatewise.errors import UsageError
from gatewise.training.metrics import ClassCounts, fit_temperature, log_softmax


def random_case(seed, examples=200, classes=4, spread=2.0):
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (examples, classes))
    targets = random.choice(classes, examples, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    logits[np.arange(examples), targets] += 1
    return logits, targets


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_figures_equal_scikit_learn(seed, classes):
    logits, targets = random_case(seed, classes=classes)
    counts = ClassCounts.of(logits, targets)
    guess, every = logits.argmax(1), list(range(classes))
    assert (counts.confusion == reference.confusion_matrix(targets, guess, labels=every)).all()
    assert counts.accuracy == pytest.approx(reference.accuracy_score(targets, guess), abs=1e-15)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        targets, guess, labels=every, zero_division=0
    )
    found = counts.per_class()
    np.testing.assert_allclose(found["precision"], precision, atol=1e-15)
    np.testing.assert_allclose(found["recall"], recall, atol=1e-15)
    np.testing.assert_allclose(found["f1"], f1, atol=1e-15)
    assert counts.macro_f1 == pytest.approx(f1.mean(), abs=1e-15)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert counts.loss == pytest.approx(reference.log_loss(targets, p, labels=every), rel=1e-12)


def test_a_class_that_never_occurs_and_is_never_predicted_has_f1_zero():
    counts = ClassCounts.of(np.array([[2.0, 1, 0], [0, 2, 1]]), np.array([0, 1]))
    assert counts.per_class()["f1"].tolist() == [1, 1, 0]
    assert counts.macro_f1 == pytest.approx(2 / 3)


def test_parts_add_up_to_the_whole():
    logits, targets = random_case(1)
    whole = ClassCounts.of(logits, targets)
    # Ragged parts: a mean of their means would be another number.
    parts = ClassCounts.of(logits[:7], targets[:7]) + ClassCounts.of(logits[7:], targets[7:])
    assert (parts.confusion == whole.confusion).all()
    assert parts.loss == pytest.approx(whole.loss, rel=1e-13)
    assert parts.calibration_error == pytest.approx(whole.calibration_error, rel=1e-12)


def test_calibration_error_of_a_written_out_example():
    # Confidence 0.9 four times (bin 14: (0.8667, 0.9333]), right 3 times; 0.6 twice (bin 9: exactly 9/15), right once.
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    targets = np.array([0, 0, 0, 1, 0, 1])
    expected = 4 / 6 * abs(3 / 4 - 0.9) + 2 / 6 * abs(1 / 2 - 0.6)
    assert ClassCounts.of(np.log(p), targets).calibration_error == pytest.approx(expected, abs=1e-12)


def test_calibration_of_the_same_example_is_a_row_a_bin_that_has_examples():
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    counts = ClassCounts.of(np.log(p), np.array([0, 0, 0, 1, 0, 1]))
    for row, expected in zip(counts.calibration, [(0.6, 1 / 2, 2), (0.9, 3 / 4, 4)], strict=True):
        assert row == pytest.approx(expected, abs=1e-12)
    assert counts.figures(["a", "b"])["calibration"] == [list(row) for row in counts.calibration]


def test_bins_include_their_upper_end():
    # Four equal logits: confidence is exactly 1/4; two: 1/2. 1/4 lies in bin 4 of 15, 1/2 in bin 8; 1 in the last.
    assert ClassCounts.of(np.zeros((1, 4)), np.array([0])).bins[3].tolist() == [1, 0.25, 1]
    assert ClassCounts.of(np.zeros((1, 2)), np.array([1])).bins[7].tolist() == [1, 0.5, 0]
    assert ClassCounts.of(np.array([[1000.0, 0]]), np.array([0])).bins[14].tolist() == [1, 1, 1]


def test_log_softmax_neither_overflows_nor_loses_small_differences():
    found = log_softmax(np.array([[1e4, 1e4 - np.log(3)], [-800.0, 0.0]]))
    np.testing.assert_allclose(found[0], np.log([0.75, 0.25]), rtol=1e-11)
    np.testing.assert_allclose(found[1], [-800, 0], atol=1e-300)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
def test_temperature_is_where_the_likelihood_is_highest(seed, scale):
    logits, targets = random_case(seed)
    logits = logits * scale
    best = fit_temperature(logits, targets)
    grid = np.geomspace(0.05, 20, 4001)
    losses = [ClassCounts.of(logits, targets, t).loss for t in grid]
    assert ClassCounts.of(logits, targets, best).loss <= min(losses) + 1e-14
    near = grid[int(np.argmin(losses))]
    assert best == pytest.approx(near, rel=2e-3)


def test_temperature_has_a_closed_form_for_one_logit_difference():
    # Each of N answers has the same margin m and a share a is right: best where sigmoid(m/t) = a.
    logits, targets = np.tile([3.0, 0.0], (10, 1)), np.array([0] * 8 + [1] * 2)
    assert fit_temperature(logits, targets) == pytest.approx(3.0 / np.log(0.8 / 0.2), rel=1e-10)


def test_temperature_without_an_optimum():
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 1.0  # all right: the colder, the better
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(20, rel=1e-6)  # all wrong: the bound
    with pytest.raises(UsageError, match="do not belong together"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64))


def test_figures_are_plain_json_values():
    import json

    logits, targets = random_case(0, classes=3)
    figures = ClassCounts.of(logits, targets).figures(["a", "b", "c"])
    again = json.loads(json.dumps(figures, allow_nan=False))
    assert again == figures
    assert sum(row["support"] for row in figures["classes"].values()) == figures["examples"] == 200
