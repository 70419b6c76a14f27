"""Figures from sums over examples and their paired intervals, against closed forms and sacrebleu's own paired test."""

import math

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from gatewise import bootstrap
from gatewise.bootstrap import RESAMPLES, interval, resamples
from gatewise.comparing.comparison import Compared, Comparison, check_enough, compare, differing
from gatewise.comparing.figures import Figure, bits, differences, perplexity, ratio
from gatewise.decoding.scoring import scores, sentence_sums
from gatewise.errors import DataError

REFERENCES = [
    f"the {a} {b} sees a {c} today ." for a in ("red", "old") for b in ("cat", "dog", "man") for c in "abcd"
]
ONE = [text.replace("old", "young").replace("sees", "saw") for text in REFERENCES]
OTHER = [text.replace("dog", "cat") for text in REFERENCES]


def test_resamples_draw_as_many_examples_as_there_are_in_pieces_as_at_once(monkeypatch):
    (whole,) = resamples(37, seed=5)
    assert whole.shape == (RESAMPLES, 37)
    assert (whole.sum(1) == 37).all()
    assert whole.mean() == 1 and whole.var() == pytest.approx(36 / 37, rel=0.02)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 1000)
    pieces = [*resamples(37, seed=5)]
    assert len(pieces) > 50
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_an_interval_is_the_middle_95_per_cent():
    assert interval(np.arange(1001.0)) == (25.0, 975.0)


def test_figures_of_sums():
    nats, units = [1.0, 2.0, 5.0], [2.0, 3.0, 5.0]
    assert ratio("loss", nats, units).value == 0.8
    assert perplexity(nats, units).value == pytest.approx(math.exp(0.8), rel=1e-15)
    assert bits("byte", nats, units).value == pytest.approx(0.8 / math.log(2), rel=1e-15)
    assert bits("byte", nats, units).name == "bits_per_byte"
    assert perplexity([1e6], [1.0]).value == math.inf
    assert math.isnan(ratio("loss", [1.0], [0.0]).value)


def test_a_constant_difference_has_no_width_however_much_examples_vary():
    """What pairing is for: either figure alone moves by about a tenth, their difference by nothing."""
    chance = np.random.default_rng(0)
    losses, tokens = chance.gamma(2, 1, 200), np.ones(200)
    ((same,), (worse,)) = differences(
        [[ratio("loss", losses + more, tokens)] for more in (0, 0, 0.25)], seed=0
    )
    assert same == (0, 0, 0)
    assert worse == pytest.approx((0.25, 0.25, 0.25), abs=1e-12)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    chance = np.random.default_rng(1)
    first, other = chance.normal(3, 2, 1000), chance.normal(3.1, 1, 1000)
    figures = [[ratio("loss", values, np.ones(1000))] for values in (first, other)]
    ((found,),) = differences(figures, seed=0)
    paired = other - first
    assert found.value == pytest.approx(paired.mean(), rel=1e-12)
    half = 1.96 * paired.std() / math.sqrt(1000)
    assert found.low == pytest.approx(paired.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(paired.mean() + half, abs=0.1 * half)
    assert differences(figures, seed=0) == differences(figures, seed=0) != differences(figures, seed=1)


def test_an_infinite_perplexity_has_no_interval():
    figures = [[perplexity(np.full(30, value), np.ones(30))] for value in (1e6, 1.0)]
    ((found,),) = differences(figures, seed=0)
    assert found.value == -math.inf
    assert math.isnan(found.low) and math.isnan(found.high)


def test_bleu_and_chrf_of_sums_are_sacrebleus():
    several = [
        REFERENCES,
        [text.replace("today", "now") if k % 3 else None for k, text in enumerate(REFERENCES)],
    ]
    whole = scores(ONE, *several)
    for name, (rows, score, signature) in sentence_sums(ONE, *several).items():
        assert signature == whole[f"{name}_signature"]
        assert len(rows) == len(ONE)
        kept = rows.copy()
        assert score(rows.sum(0)) == pytest.approx(whole[name], rel=1e-12)
        np.testing.assert_array_equal(rows, kept)


def test_resampled_bleu_and_chrf_are_those_of_sacrebleus_paired_bootstrap(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    n, samples = len(REFERENCES), 100
    test = PairedTest(
        [("one", ONE), ("other", OTHER)], {"bleu": BLEU(), "chrf": CHRF()}, [REFERENCES], "bs", samples
    )
    _, theirs = test()
    drawn = np.random.default_rng(7).choice(n, size=(samples, n), replace=True)
    for name, theirs_of_name in (("bleu", theirs["BLEU"]), ("chrf", theirs["chrF2"])):
        rows, score, _ = sentence_sums(OTHER, REFERENCES)[name]
        ours = [score(rows[some].sum(0)) for some in drawn]
        assert np.mean(ours) == pytest.approx(theirs_of_name[1].mean, rel=1e-5)
        assert theirs_of_name[1].score == pytest.approx(score(rows.sum(0)), rel=1e-12)
        first_rows, first_score, _ = sentence_sums(ONE, REFERENCES)[name]
        ours_first = np.array([first_score(first_rows[some].sum(0)) for some in drawn])
        # sacrebleu's p-value: how often a resampled difference is further from its mean than the real one from 0
        apart = np.abs(np.array(ours) - ours_first)
        real = abs(score(rows.sum(0)) - first_score(first_rows.sum(0)))
        p = (np.sum(apart - apart.mean() > real) + 1) / (samples + 1)
        assert p == pytest.approx(theirs_of_name[1].p_value)


def table(values, **options) -> Comparison:
    runs = [
        Compared(
            name,
            [ratio("exact", own, np.ones(len(own)))],
            {"cell": name, "hidden_size": 8} | options,
            10,
            None,
        )
        for name, own in values.items()
    ]
    return compare(runs, unit="pictures", seed=3, data={"source": "here"}, notes=["one thing"])


def test_the_table_has_a_column_a_run():
    right = np.arange(40) % 4 == 0
    found = table({"lstm": right, "gru": right | (np.arange(40) < 4), "rnn": right})
    assert found.examples == 40 and dict(found.options) == {"cell": ["lstm", "gru", "rnn"]}
    lines = found.to_markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    assert cells[0] == ["", "lstm", "gru", "rnn"]
    (by, low, high), same = found.differences[0][0], "25.00  +0.00 [+0.00, +0.00]"
    assert by == pytest.approx(0.075) and 0 <= low < by < high < 0.2
    shown = f"32.50  +7.50 [{100 * low:+.2f}, {100 * high:+.2f}]"
    assert cells[2] == ["exact sentences, %", "25.00", shown, same]
    assert cells[3] == ["parameters", "10", "10", "10"]
    assert cells[4] == ["seconds of training", "", "", ""]
    assert lines[5].split("|")[1].strip() == "cell"
    assert lines[-2].startswith("* 40 pictures; in brackets 95 % intervals of the difference to lstm")
    assert "seed 3" in lines[-2] and lines[-1] == "* one thing"


def test_the_json_of_a_table():
    right = np.arange(40) % 4 == 0
    found = table({"lstm": right, "gru": ~right}).to_dict()
    first, other = found["runs"]
    assert first == {"run": "lstm", "exact": 0.25, "difference": None, "parameters": 10, "seconds": None}
    assert other["exact"] == 0.75 and other["difference"]["exact"][0] == 0.5
    assert found["seed"] == 3 and found["resamples"] == RESAMPLES and found["data"] == {"source": "here"}


def test_options_that_differ():
    found = differing([{"a": 1, "b": (2,), "c": 3}, {"a": 1, "b": (4,), "d": None}])
    assert found == {"b": [(2,), (4,)], "c": [3, None]}


def test_too_few_examples():
    check_enough(20, "pairs", "x.tsv")
    with pytest.raises(DataError, match=r"^x.tsv: 19 pairs; an interval needs 20 at least$"):
        check_enough(19, "pairs", "x.tsv")


def test_a_figure_holds_its_examples():
    figure = Figure("two", np.array([[1.0], [2.0]]), lambda sums: float(sums[0]))
    assert figure.value == 3
