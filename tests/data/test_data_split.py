"""Splits: every example on one side, labels on both, groups in one piece, all decided by the seed."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.split import draw, split
from gatewise.errors import UsageError

LABELS = st.lists(st.sampled_from("abc"), min_size=2, max_size=60)
FRACTIONS = st.floats(0.01, 0.99)


def test_each_label_gives_its_share():
    labels = ["a"] * 20 + ["b"] * 10 + ["c"] * 2 + ["d"]
    train, validation = split(labels, 0.1, seed=0)
    assert Counter(labels[i] for i in validation) == {"a": 2, "b": 1, "c": 1}
    assert Counter(labels[i] for i in train) == {"a": 18, "b": 9, "c": 1, "d": 1}
    assert (train.dtype, validation.dtype) == (np.int64, np.int64)


@given(LABELS, FRACTIONS, st.integers(0, 9))
def test_shares_are_rounded_and_leave_one_on_either_side(labels, fraction, seed):
    if len(set(labels)) == len(labels):
        labels = [*labels, labels[0]]
    train, validation = split(labels, fraction, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(validation) > 0)
    drawn = Counter(labels[i] for i in validation)
    for label, n in Counter(labels).items():
        rounded = int(np.floor(n * fraction + 0.5))
        assert drawn[label] == (0 if n == 1 else min(max(rounded, 1), n - 1))


@given(LABELS, FRACTIONS, st.integers(0, 9), st.data())
def test_groups_of_one_label_stay_together_and_labels_are_on_both_sides(labels, fraction, seed, data):
    sizes = st.integers(1, 3)
    groups = [f"{label}{data.draw(sizes)}" for label in labels]
    if len(set(groups)) < 2:
        return
    train, validation = split(labels, fraction, seed, groups)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert not {groups[i] for i in train} & {groups[i] for i in validation}
    for label in set(labels):
        if len({group for group in groups if group[0] == label}) > 1:
            assert label in {labels[i] for i in train}
            assert label in {labels[i] for i in validation}
    assert len(train)
    assert len(validation)


@given(LABELS, st.lists(st.integers(0, 5), min_size=60, max_size=60), FRACTIONS, st.integers(0, 9))
def test_groups_of_mixed_labels_stay_together_too(labels, groups, fraction, seed):
    groups = groups[: len(labels)]
    if len(set(groups)) < 2:
        return
    train, validation = split(labels, fraction, seed, groups)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert not {groups[i] for i in train} & {groups[i] for i in validation}
    assert len(train)
    assert len(validation)


def test_the_seed_decides_alone():
    labels = ["a", "b"] * 50
    first = split(labels, 0.2, 1)
    assert [part.tolist() for part in first] == [part.tolist() for part in split(labels, 0.2, 1)]
    assert first[1].tolist() != split(labels, 0.2, 2)[1].tolist()


def test_groups_come_close_to_the_fraction():
    labels = [label for label in "ab" for _ in range(100)]
    groups = [(label, n // 5) for label in "ab" for n in range(100)]
    _, validation = split(labels, 0.2, 0, groups)
    assert Counter(labels[i] for i in validation) == {"a": 20, "b": 20}


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_bounds(fraction):
    with pytest.raises(UsageError) as caught:
        split(["a", "b"], fraction, 0)
    assert str(caught.value) == f"the validation fraction is {fraction}; it must be above 0 and below 1"


@pytest.mark.parametrize(
    ("labels", "groups", "sentence"),
    [
        ([], None, "no example cannot be split into two parts"),
        (["a"], None, "one example cannot be split into two parts"),
        (["a", "b"], [1, 1], "one group cannot be split into two parts"),
        (["a", "b"], [1], "there are 1 groups for 2 labels"),
    ],
)
def test_what_cannot_be_split(labels, groups, sentence):
    with pytest.raises(UsageError) as caught:
        split(labels, 0.5, 0, groups)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("n", "fraction", "held_out"), [(2, 0.9, 1), (2, 0.01, 1), (10, 0.25, 2), (7, 0.5, 4)]
)
def test_a_drawn_part_has_its_share_and_leaves_something(n, fraction, held_out):
    """Shares are rounded, halves to the even number; an example at least is on either side."""
    inside, outside = draw(n, fraction, 3)
    assert sorted(inside + outside) == list(range(n))
    assert len(outside) == held_out
    assert inside == sorted(inside) and outside == sorted(outside)
    assert draw(n, fraction, 3) == (inside, outside)


def test_the_seed_decides_what_is_drawn():
    assert len({tuple(draw(20, 0.5, seed)[1]) for seed in range(20)}) == 20
