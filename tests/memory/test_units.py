"""Units that track something, probes and nearest states, against written-out formulas and NumPy's brute force."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from scipy import stats

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.memory import StateIndex, probe, track

F64 = {"dtype": torch.float64}


def counter(units=6, counts=2):
    """An LSTM whose unit `counts` adds 1 to c for every x = (1, …), with its other units at random."""
    torch.manual_seed(5)
    lstm = gw.LSTM(2, units, **F64)
    with torch.no_grad():
        for gate, bias in enumerate((50.0, 50.0, 0.0, 0.0)):  # i and f open, g = tanh(40 x_0)
            row = gate * units + counts
            lstm.weight_ih_l0[row], lstm.weight_hh_l0[row] = 0.0, 0.0
            lstm.bias_ih_l0[row], lstm.bias_hh_l0[row] = bias, 0.0
        lstm.weight_ih_l0[2 * units + counts, 0] = 40.0
    return lstm


def counted(T=20, B=12, lengths=None):
    """c of the counter [T, B, H], and how many x_0 = 1 there were until each step [T, B]."""
    x = torch.randn(T, B, 2, **F64)
    x[..., 0] = (torch.rand(T, B) < 0.3).double()
    lstm = counter()
    with gw.record(lstm) as trace:
        lstm(x, lengths=lengths)
    return trace[""][0].c, x[..., 0].cumsum(0)


def test_a_counter_is_found_and_its_correlation_is_one():
    c, count = counted()
    found = track(c, count, permutations=199)
    assert found.measure == "pearson" and (found.sequences, found.observations) == (12, 240)
    best, *others = found.best(6)
    assert best.unit == 2 and best.correlation == pytest.approx(1, abs=1e-12)
    assert best.p == 1 / 200
    assert all(abs(other.correlation) < 0.9 for other in others)
    for unit in range(6):
        r = stats.pearsonr(c[..., unit].flatten(), count.flatten())[0]
        assert float(found.correlation[unit]) == pytest.approx(r, abs=1e-12)


def test_padding_takes_no_part():
    lengths = [20, 3, 9, 1]
    c, count = counted(B=4, lengths=lengths)
    c, count = c.clone(), count.clone()
    for row, length in enumerate(lengths):
        c[length:, row], count[length:, row] = 1e9, -1e9
    found = track(c, count, lengths, permutations=9)
    assert float(found.correlation[2]) == pytest.approx(1, abs=1e-12) and found.observations == sum(lengths)
    rows = [c[:length, row] for row, length in enumerate(lengths)]
    signals = [count[:length, row] for row, length in enumerate(lengths)]
    assert torch.equal(track(rows, signals, permutations=9).correlation, found.correlation)


def test_two_classes_are_point_biserial():
    states, labels = torch.randn(5, 30, 4, **F64), ["bad", "good", "bad"] * 10
    found = track(states, labels, permutations=9)
    assert found.measure == "point-biserial" and found.classes == ["bad", "good"]
    for unit in range(4):
        r = stats.pointbiserialr(np.array(labels) == "good", states[-1, :, unit])[0]
        assert float(found.correlation[unit]) == pytest.approx(r, abs=1e-12)


def test_more_classes_are_the_correlation_ratio():
    states, labels = torch.randn(5, 30, 4, **F64), np.array([3, 7, 9] * 10)
    found = track(states, labels, classes=True, pool="mean", permutations=9)
    assert found.measure == "correlation ratio" and found.classes == [3, 7, 9]
    for unit in range(4):
        x = states.mean(0)[:, unit].numpy()
        between = sum(sum(labels == k) * (x[labels == k].mean() - x.mean()) ** 2 for k in (3, 7, 9))
        eta = math.sqrt(between / ((x - x.mean()) ** 2).sum())
        assert float(found.correlation[unit]) == pytest.approx(eta, abs=1e-12)


@pytest.mark.parametrize("pool", ["last", "first", "mean", "max"])
def test_the_state_that_stands_for_a_sequence(pool):
    rows = [torch.randn(n, 3, **F64) for n in (4, 1, 7, 5)]
    pooled = {
        "last": lambda r: r[-1],
        "first": lambda r: r[0],
        "mean": lambda r: r.mean(0),
        "max": lambda r: r.max(0)[0],
    }
    labels = [0.3, -1.0, 2.0, 0.1]
    found = track(rows, labels, pool=pool, permutations=5)
    for unit in range(3):
        x = [float(pooled[pool](row)[unit]) for row in rows]
        assert float(found.correlation[unit]) == pytest.approx(stats.pearsonr(x, labels)[0], abs=1e-12)


def test_p_is_that_of_all_permutations():
    """Of 6 sequences there are 720 deals; the largest |r| of 3 units over all of them gives p exactly."""
    rng = np.random.default_rng(3)
    states, labels = rng.normal(size=(6, 3)), rng.normal(size=6)
    states[:, 1] += labels

    def strongest(y):
        return max(abs(np.corrcoef(states[:, unit], y)[0, 1]) for unit in range(3))

    chance = np.array([strongest(labels[list(order)]) for order in itertools.permutations(range(6))])
    deals = 4000
    found = track(torch.tensor(states)[None], labels, permutations=deals)
    for r, p in zip(found.correlation.abs().tolist(), found.p.tolist(), strict=True):
        exact = (chance >= r - 1e-12).mean()
        assert abs(p - exact) <= 4 * math.sqrt(exact * (1 - exact) / deals) + 1 / deals


@pytest.mark.parametrize("ragged", [False, True])
def test_drifting_states_and_a_drifting_signal_are_no_find(ragged):
    """Random walks correlate; counting their steps as independent finds nearly always, whole sequences rarely."""
    rng, finds, naive = np.random.default_rng(11), 0, 0
    for _ in range(60):
        lengths = rng.integers(10, 40, 10) if ragged else [30] * 10
        states = [torch.tensor(rng.normal(size=(n, 4)).cumsum(0)) for n in lengths]
        signal = [rng.normal(size=n).cumsum() for n in lengths]
        found = track(states, signal, permutations=39)
        finds += bool((found.p <= 0.05).any())
        steps = torch.cat(states)[:, 0].numpy()
        naive += stats.pearsonr(steps, np.concatenate(signal)).pvalue <= 0.05
    assert naive > 30
    assert finds <= 9  # 60 · 0.05 = 3 are to be expected; more than 9 has a probability below 0.002


def test_a_course_that_all_sequences_share_is_a_find():
    """Dealing alone would leave it as it is: each sequence's signal is the same."""
    steps = torch.arange(20, **F64)[:, None].expand(20, 8)
    states = torch.randn(20, 8, 3, **F64)
    states[..., 1] += 0.3 * steps
    assert track(states, steps, permutations=99).p[1] == 1
    found = track(states, steps, permutations=99, turn=True)
    assert found.p[1] == 0.01 and float(found.p[[0, 2]].min()) > 0.05


def test_one_long_sequence_is_turned():
    rng = np.random.default_rng(4)
    states = torch.tensor(rng.normal(size=(400, 1, 3)))
    signal = states[:, 0, 2] + torch.tensor(rng.normal(size=400))
    found = track(states, signal[:, None], permutations=99, turn=True)
    assert found.best(1)[0].unit == 2 and float(found.p[2]) == 0.01
    with pytest.raises(UsageError, match="1 sequences cannot be dealt anew"):
        track(states, signal[:, None])


def test_a_unit_that_never_moves_tracks_nothing():
    states = torch.randn(3, 10, 2, **F64)
    states[..., 1] = 0.1
    found = track(states, torch.arange(10.0), permutations=19)
    assert (float(found.correlation[1]), float(found.p[1])) == (0, 1)


def test_a_probe_of_the_counter():
    c, count = counted(B=16)
    found = probe(c, count)
    assert (found.measure, found.unit, found.training, found.held_out) == ("R²", 2, 12, 4)
    assert found.score > 0.999 and found.one_unit > 0.999
    assert found.majority <= 0 and found.shuffled < 0.5
    assert int(found.weights.abs().argmax()) == 2


def test_a_probe_of_classes_is_scikit_learns_on_the_same_split():
    from sklearn.linear_model import LogisticRegression

    torch.manual_seed(1)
    states, labels = torch.randn(1, 200, 5, **F64), np.array(["a", "b", "b", "b"] * 50)
    states[0, :, 3] += torch.tensor(labels == "b") * 3.0
    found = probe(states, labels, held_out=0.2, strength=0.5)
    assert (found.measure, found.unit, found.training, found.held_out) == ("accuracy", 3, 160, 40)
    assert found.majority == 0.75  # drawn by class
    assert found.score > 0.9 and found.one_unit > 0.9 and abs(found.shuffled - 0.75) < 0.1
    # The weights of a fit on all but any fifth lie near those of a fit on all.
    scaled = (states[0] - states[0].mean(0)) / states[0].std(0, correction=0)
    whole = LogisticRegression(C=0.5).fit(scaled, labels).coef_[0]
    np.testing.assert_allclose(found.weights, whole, atol=0.35)


def test_what_only_all_units_together_show():
    """The class is the sign of a sum of 8 units: a linear model reads it, no single unit does."""
    torch.manual_seed(2)
    states = torch.randn(1, 600, 8, **F64)
    found = probe(states, states[0].sum(-1) > 0)
    assert found.score > 0.95 and found.one_unit < 0.75


def test_sequences_are_not_split():
    """Each sequence has its own level and label: steps of both sides would make a perfect probe of noise."""
    torch.manual_seed(3)
    states = torch.randn(1, 40, 30, **F64).expand(25, 40, 30) + 0.01 * torch.randn(25, 40, 30, **F64)
    labels = torch.arange(40) % 2 == 0
    found = probe(states, labels.expand(25, 40))
    assert found.score < 0.85


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_nearest_states_are_those_of_brute_force(metric):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 6)) for n in (5, 1, 9, 30)]
    words = [[f"w{b}.{t}" for t in range(len(row))] for b, row in enumerate(rows)]
    index = StateIndex(
        [torch.tensor(r) for r in rows], words=words, labels=["a", "b", "c", "d"], metric=metric
    )
    assert len(index) == 45
    asked = rng.normal(size=6)
    distances = []
    for b, t in ((b, t) for b, row in enumerate(rows) for t in range(len(row))):
        s = rows[b][t]
        cosine = 1 - s @ asked / math.sqrt((s @ s) * (asked @ asked))
        distances.append((cosine if metric == "cosine" else math.sqrt(((s - asked) ** 2).sum()), b, t))
    distances.sort()
    found = index.query(torch.tensor(asked), 7)
    assert [(one.sequence, one.step) for one in found] == [(b, t) for _, b, t in distances[:7]]
    np.testing.assert_allclose([one.distance for one in found], [d for d, _, _ in distances[:7]], rtol=1e-5)
    for one in found:
        assert one.word == f"w{one.sequence}.{one.step}" and one.label == "abcd"[one.sequence]
        assert one.context.split() == words[one.sequence][max(0, one.step - 6) : one.step + 3]
    without = index.query(torch.tensor(asked), 20, without=3)
    assert [(one.sequence, one.step) for one in without] == [(b, t) for _, b, t in distances if b != 3]


def test_the_nearest_state_of_a_state_of_the_corpus_is_itself():
    states = torch.randn(6, 3, 4)
    index = StateIndex(states, [6, 2, 4])
    (first,) = index.query(states[1, 2], 1)
    assert (first.sequence, first.step, first.word, first.context, first.label) == (2, 1, "", "", None)
    assert first.distance < 1e-3
    assert index.query(states[1, 2], 1, without=2)[0].sequence != 2


S, LABELS = torch.randn(4, 5, 3), [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: track(S[0], LABELS), r"the states have shape \(5, 3\); they take \[T, B, H\]"),
        (lambda: track(S, LABELS[:4]), "there are 5 sequences of states and 4 of labels"),
        (lambda: track(S, LABELS, [4, 4, 4, 4, 5]), "lengths are .*; 5 whole numbers from 0 to 4 are needed"),
        (lambda: track(S, LABELS, [4, 4, 0, 4, 4]), "sequence 2 of the states has no step"),
        (lambda: track(S * math.nan, LABELS), r"the states hold nan \(sequence 0, step 0, unit 0\)"),
        (
            lambda: track([S[0], S[0, :, :2]], LABELS[:2]),
            r"sequence 1 of the states has shape \(5, 2\); \[T, 3\] is",
        ),
        (lambda: track([S[0]] * 5, LABELS, [1] * 5), "lengths are given beside one array a sequence"),
        (lambda: track([], []), "there is no sequence in the states"),
        (lambda: track(S, [1.0] * 5), "every label is 1.0, so there is nothing to track"),
        (lambda: track(S, ["a"] * 5), "every label is 'a', so there is nothing to track"),
        (lambda: track(S, [0.0, math.nan, 1.0, 2.0, 3.0]), "label 1 is nan"),
        (lambda: track(S, list("abcde"), classes=False), "the label 'a' is no number; classes=True takes"),
        (lambda: track(S, "abcde"), "the labels are a str; one a sequence is needed"),
        (lambda: track(S, torch.zeros(3, 5)), r"sequence 0 has 4 steps, and its signal has shape \(3,\)"),
        (lambda: track(S, torch.zeros(4, 5, 3)), r"the labels have shape \(4, 5, 3\)"),
        (lambda: track(S, LABELS, pool="sum"), "pool is 'sum'; it can be 'last', 'first', 'mean', 'max'"),
        (lambda: track(S, LABELS, permutations=0), "permutations is 0; 1 or more"),
        (lambda: track(S[:, :2], [0.0, 1.0]), "2 sequences cannot be dealt anew; 3 or more are needed"),
        (lambda: probe(S, LABELS, held_out=1.0), "held_out is 1.0"),
        (lambda: probe(S, LABELS, strength=0.0), "strength is 0.0"),
        (lambda: probe(S, LABELS, shuffles=0), "shuffles is 0"),
        (
            lambda: probe(S[:, :2], LABELS[:2]),
            "the training part has 1 different labels and the held-out part 1",
        ),
        (lambda: StateIndex(S, metric="l1"), "metric is 'l1'; it can be 'euclidean' or 'cosine'"),
        (lambda: StateIndex(S, words=[["a"] * 4] * 4), "there are 5 sequences of states and 4 of words"),
        (lambda: StateIndex(S, words=[["a"] * 3] * 5), "sequence 0 has 4 steps of states and 3 words"),
        (lambda: StateIndex(S, labels=[1]), "there are 5 sequences of states and 1 of labels"),
        (lambda: StateIndex(S).query(S[0]), r"the state has shape \(5, 3\); the index holds states of \[3\]"),
        (lambda: StateIndex(S).query(S[0, 0] / 0), "the state holds -?inf"),
        (lambda: StateIndex(S).query(S[0, 0], 0), "count is 0"),
        (lambda: StateIndex(S).query(S[0, 0], without=5), "without is 5; the sequences are 0 to 4"),
    ],
)
def test_refused_in_one_sentence(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for what, call in (("a probe", lambda: probe(S, LABELS)), ("an index of states", lambda: StateIndex(S))):
        with pytest.raises(
            UsageError, match=f"{what} needs scikit-learn, .*pip install 'gatewise\\[probes\\]'"
        ):
            call()
    assert track(S, LABELS, permutations=9).sequences == 5  # which needs none
