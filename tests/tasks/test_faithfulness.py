"""Faithfulness, on an LSTM that is a sum of one number a word: what each ranking must give can be written down."""

import json
import math
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, reviews, waves

from gatewise.data.reviews import load_reviews
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.errors import DataError, UsageError
from gatewise.memory.attribution import METHODS
from gatewise.tasks.classify.baselines import BagOfWords
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.faithfulness import RANKINGS, FaithfulnessLog, faithfulness
from gatewise.tasks.classify.faithfulness.curves import SHARES, Answers, Drops, drops, highest
from gatewise.tasks.classify.faithfulness.log import Measured
from gatewise.tasks.classify.faithfulness.picture import picture
from gatewise.tasks.classify.faithfulness.rankings import Judged, rank, refusals
from gatewise.tasks.classify.faithfulness.table import Faithfulness
from gatewise.tasks.classify.faithfulness.words import read_words
from gatewise.tasks.classify.fitted import FittedClassifier, text_embedding
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.recipe import train_series, train_texts

VALUES = {
    "fine": 2.0, "good": 1.0, "music": 0.6, "film": 0.3, "was": 0.1, "the": 0.05, "slow": -0.4, "dull": -1.2,
}  # fmt: skip
TEXT = "the film was fine the music good slow dull the"  # ten words
SCALE = 1e-4
"""Of a word's number inside the network: at 4 words' worth tanh is the identity up to 1e-7."""


def sum_of_words(temperature=2.0):
    """A classifier by an LSTM of one unit with all gates open: the log odds of yes are the sum of VALUES."""
    tokenizer = Tokenizer.train([" ".join(VALUES)], "words", min_count=1)
    config = ClassifyConfig(embedding_size=1, hidden_size=1, pooling="last")
    network = SequenceClassifier(
        config, 2, embedding=text_embedding(config, tokenizer.vocab_size, torch.zeros(0, dtype=torch.int64))
    ).eval()
    assert network.embedding is not None
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for word, value in VALUES.items():
            network.embedding.words.weight[tokenizer.token_to_id(word)] = SCALE * value
        lstm = network.recurrent
        lstm.weight_ih_l0[2] = 1.0  # g
        lstm.bias_ih_l0.copy_(torch.tensor([30.0, 30.0, 0.0, 30.0]))  # i, f and o are 1
        network.output.weight[1] = 1 / SCALE
    return FittedClassifier(
        config, network, TextEncoder(tokenizer, 400, "middle"), ["no", "yes"], temperature
    )


def answers_of(fitted, *texts):
    return Answers.of(fitted, [read_words(fitted.encoder, text) for text in texts])


def values_of(text):
    return np.array([VALUES.get(word, 0.0) for word in text.split()])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.fixture(scope="module")
def trained():
    return train_texts(as_texts(*reviews()), ClassifyConfig(**SMALL))


@pytest.mark.parametrize("method", [*METHODS, "leave one out"])
def test_every_method_finds_the_number_of_each_word_with_its_sign(method):
    against = "dull the slow"  # is answered with no
    answers = answers_of(sum_of_words(), TEXT, against)
    assert answers.chosen.tolist() == [1, 0]
    (found,), (other,) = rank(method, Judged(answers, [0, 1], None, 0, 1))
    expected = [(found, values_of(TEXT)), (other, -values_of(against))]
    for scores, values in expected:
        if method == "lrp":  # its ε is as large as the numbers inside this network
            assert np.isfinite(scores).all() and (np.sign(scores) == np.sign(values)).all()
        else:
            assert scores == pytest.approx(values, abs=2e-5)


def test_the_curves_are_those_of_the_sum():
    answers = answers_of(sum_of_words(temperature=2.0), TEXT)
    values = values_of(TEXT)
    ((found,),) = drops(answers, [[values]])
    best = sorted(values, reverse=True)
    whole = values.sum()
    for k, count in enumerate([1, 1, 1, 2, 5]):  # ⌈share · 10⌉
        top = sum(best[:count])
        assert found.removed[k] == pytest.approx(sigmoid(whole / 2) - sigmoid((whole - top) / 2), abs=1e-6)
        assert found.alone[k] == pytest.approx(sigmoid(whole / 2) - sigmoid(top / 2), abs=1e-6)
        assert found.removed_score[k] == pytest.approx(top, abs=1e-5)
        assert found.alone_score[k] == pytest.approx(whole - top, abs=1e-5)


def test_no_ranking_takes_more_than_the_best_words():
    draw = np.random.default_rng(3)
    answers, values = answers_of(sum_of_words(), TEXT), values_of(TEXT)
    ((best, *others),) = drops(answers, [[values, -values, *draw.normal(size=(30, 10))]])
    for other in others:
        assert all(a >= b - 1e-9 for a, b in zip(best.removed, other.removed, strict=True))
        assert all(a <= b + 1e-9 for a, b in zip(best.alone, other.alone, strict=True))


def test_random_words_lose_what_a_random_set_loses_on_average():
    fitted, draws = sum_of_words(), 1000
    found = faithfulness(fitted, as_texts([TEXT], ["yes"]), rankings=["random words"], draws=draws)
    values, whole = values_of(TEXT), values_of(TEXT).sum()
    for k, count in enumerate([1, 1, 1, 2, 5]):
        sums = [sum(chosen) for chosen in combinations(values, count)]
        lost = np.array([sigmoid(whole / 2) - sigmoid((whole - one) / 2) for one in sums])
        error = 4 * lost.std() / math.sqrt(draws)
        assert found.texts[0].drops["random words"].removed[k] == pytest.approx(lost.mean(), abs=error)


def test_the_highest_are_a_share_rounded_up_one_at_least_and_ties_go_to_the_earlier():
    assert highest(np.array([1.0, 3.0, 2.0, 3.0]), (0.01, 0.5, 0.6)).tolist() == [
        [False, True, False, False],
        [False, True, False, True],
        [False, True, True, True],
    ]
    assert highest(np.zeros(20)).sum(1).tolist() == [1, 1, 2, 4, 10] and highest(np.zeros(20))[3, :4].all()
    assert highest(np.zeros(100)).sum(1).tolist() == [1, 5, 10, 20, 50]


def test_first_and_last_words_and_the_linear_model():
    texts, labels = reviews()
    bags = BagOfWords.train(texts, np.array([label == "pos" for label in labels], np.int64), 2)
    judged = Judged(answers_of(sum_of_words(), "the film was good", "the dull"), [5, 7], bags, 0, 3)
    assert [scores.argmax() for (scores,) in rank("first words", judged)] == [0, 0]
    assert [scores.argmax() for (scores,) in rank("last words", judged)] == [3, 1]
    (_, (dull,)) = rank("linear model", judged)
    assert dull.argmax() == 1 and dull[1] > 0  # the label is no, and it speaks for no
    random = rank("random words", judged)
    assert [np.shape(draws) for draws in random] == [(3, 4), (3, 2)]
    alone = Judged(answers_of(sum_of_words(), "the dull"), [7], None, 0, 3)
    assert np.array_equal(rank("random words", alone)[0], random[1])  # whatever else is in the batch


def test_words_are_taken_out_of_the_text_and_neighbours_stay_apart():
    encoder = sum_of_words().encoder
    text = read_words(encoder, "  A well-made<br /><br />film, isn't it? ")
    assert [text.text[start:end] for start, end in text.spans] == [
        "A", "well", "-", "made", "film", ",", "isn't", "it", "?",
    ]  # fmt: skip
    assert text.keeping(np.ones(9, bool)) == text.text
    assert (
        text.keeping(np.array([1, 1, 0, 1, 1, 0, 1, 0, 1], bool)) == "  A well made<br /><br />film isn't ? "
    )
    assert text.keeping(np.array([0, 1, 1, 1, 0, 0, 0, 0, 0], bool)) == "well-made"
    assert text.keeping(np.zeros(9, bool)) == ""
    assert len(read_words(encoder, " \n")) == 0


def test_the_model_reads_what_is_left_word_by_word():
    texts, draw = load_reviews("test").texts[:40], np.random.default_rng(0)
    encoder = TextEncoder(Tokenizer.train(texts, "words"), 60, "middle")
    for one in texts:
        text = read_words(encoder, one)
        assert len(text) == len(text.ids) <= 60
        assert np.array_equal(text.ids, encoder.cut(encoder.full([one]))[0])
        kept = draw.random(len(text)) < 0.5
        assert np.array_equal(encoder.full([text.keeping(kept)])[0], text.ids[kept])


def test_of_a_long_text_only_the_words_that_are_read_are_there():
    encoder = TextEncoder(Tokenizer.train(["a b c d e f g h"] * 2, "words"), 3, "middle")
    text = read_words(encoder, "a b c, d e f g h")
    assert text.text == "a g h" and len(text.ids) == 3
    encoder = TextEncoder(Tokenizer.train(["unheard of unread"] * 9, "bpe", vocab_size=260), 12, "head")
    text = read_words(encoder, "unheard of unread words")
    assert text.text == "unheard of" and set(text.word_of.tolist()) == {0, 1}


def test_numbers_of_byte_pairs_are_summed_by_word():
    encoder = TextEncoder(Tokenizer.train(["a film, of films"] * 3, "bpe", vocab_size=270), 100, "head")
    text = read_words(encoder, "un film,  encore ")
    words = [text.text[start:end] for start, end in text.spans]
    assert words == ["un", "film", ",", "encore"]
    tokens = encoder.tokenizer.encode(text.text).tokens
    parts = [
        [token.strip() for token, k in zip(tokens, text.word_of, strict=True) if k == n] for n in range(4)
    ]
    assert len(tokens) > 4 and ["".join(part) for part in parts] == words
    assert text.of_words(np.ones(len(tokens))).tolist() == [len(part) for part in parts]
    assert text.tokens_of(np.eye(4, dtype=bool)).sum(1).tolist() == [len(part) for part in parts]


def test_a_trained_models_words_count_more_than_random_ones(trained):
    data = replace(as_texts(*reviews(seed=9)), sha256="9" * 64)
    found = faithfulness(trained, data, texts=40, train=as_texts(*reviews()), draws=5)
    assert found.rankings == list(RANKINGS) and not found.refused
    rows = {row.ranking: row for row in found.rows()}
    best = found.rows()[0]
    assert best.removed.times_random is not None and best.removed.times_random.low > 1.5
    assert best.removed.over_random.low > 0 > rows["push"].alone.over_random.high
    assert rows["random words"].removed.over_random.mean == 0
    assert found.notes == ["40 of 120 texts, drawn by seed 0"]
    svg = ElementTree.fromstring(picture(found))
    lines = svg.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * len(RANKINGS)
    shown = found.to_markdown()
    assert all(shown.count(f"\n| {name} ") == 2 for name in RANKINGS)


def test_it_goes_on_after_an_interruption_and_adds_rankings(trained, tmp_path, monkeypatch):
    data, log = as_texts(*reviews(seed=9)), tmp_path / "texts.jsonl"
    monkeypatch.setattr("gatewise.tasks.classify.faithfulness.study.ROWS", 4)
    options = {"texts": 10, "rankings": ["push", "last words"], "draws": 2}

    def stop(done, of):
        assert of == 10
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faithfulness(trained, data, log=log, told=stop, **options)
    assert len(log.read_text().splitlines()) == 1 + 4
    with log.open("a") as lines:
        lines.write('{"place": 3, "wor')  # a kill while it was written
    seen = []
    found = faithfulness(trained, data, log=log, told=lambda done, of: seen.append(done), **options)
    assert seen == [8, 10]
    # Batches of other texts, whose rounding differs in the last place.
    whole = faithfulness(trained, data, **options)
    for one, other in zip(found.texts, whole.texts, strict=True):
        assert (one.place, one.words, one.label) == (other.place, other.words, other.label)
        for name in options["rankings"]:
            assert one.drops[name].removed == pytest.approx(other.drops[name].removed, abs=1e-6)
    before = log.read_text()
    assert faithfulness(trained, data, log=log, **options).rows() == found.rows()
    assert log.read_text() == before
    more = faithfulness(trained, data, log=log, **(options | {"rankings": ["push", "beta"]}))
    assert more.rankings == ["push", "beta", "random words"]
    assert log.read_text().startswith(before)
    (row,) = [row for row in more.rows() if row.ranking == "push"]
    assert row == next(row for row in found.rows() if row.ranking == "push")


def test_a_log_of_something_else_is_refused_and_stays(trained, tmp_path):
    data, log = as_texts(*reviews(seed=9)), tmp_path / "texts.jsonl"
    options = {"texts": 2, "rankings": ["last words"], "draws": 1, "log": log}
    faithfulness(trained, data, **options)
    with pytest.raises(
        UsageError, match="was measured with seed 0, and this call has 1; name another folder"
    ):
        faithfulness(trained, data, **(options | {"seed": 1}))
    other = train_texts(as_texts(*reviews()), ClassifyConfig(**SMALL | {"epochs": 1}))
    with pytest.raises(UsageError, match="was measured with model"):
        faithfulness(other, data, **options)
    good = log.read_text()
    for content, sentence in (
        ("notes of mine", "not a log of JSON lines"),
        ("notes of mine\n", "line 1: neither the setup nor a text of a study of faithfulness"),
        (good.replace('"words"', '"wards"'), "line 2: neither the setup nor a text"),
        (good.replace("[", "[true, ", 2), "line 2: neither the setup nor a text"),
        (good + good, "holds the setup of a study twice"),
        ("\n".join(good.splitlines()[1:]) + "\n", "line 1: not the setup"),
    ):
        log.write_text(content)
        with pytest.raises(UsageError, match=sentence):
            faithfulness(trained, data, **options)
        assert log.read_text() == content


def test_what_a_model_does_not_allow_is_named_with_the_reason(trained):
    rnn = train_texts(as_texts(*reviews()), ClassifyConfig(**SMALL | {"cell": "rnn", "epochs": 1}))
    assert isinstance(rnn.encoder, TextEncoder) and isinstance(trained.encoder, TextEncoder)
    refused = refusals(rnn, rnn.encoder, RANKINGS)
    assert list(refused) == ["push", "beta", "gamma", "cd"]
    assert "is not defined for the cell rnn_tanh" in refused["beta"]
    assert refusals(trained, trained.encoder, RANKINGS) == {}
    found = faithfulness(rnn, as_texts(*reviews(6)), rankings=["push", "lrp", "linear model"], draws=1)
    assert found.rankings == ["lrp", "random words"] and list(found.refused) == ["push", "linear model"]
    assert "not measured: linear model: no labelled texts were given" in found.to_markdown()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"texts": 0}, "texts is 0; it must be 1 at least"),
        ({"draws": -1}, "draws is -1; it must be 1 at least"),
        ({"rankings": ["pushes"]}, "there is no ranking 'pushes'; it must be one of push, beta, gamma"),
    ],
)
def test_a_bad_call(trained, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        faithfulness(trained, as_texts(*reviews(4)), **options)


def test_bad_data(trained):
    with pytest.raises(DataError, match=r"reviews\.csv: none of 2 texts holds a word"):
        faithfulness(trained, as_texts(["", " \n "], ["pos", "neg"]))
    strange = as_texts(["great", "dull"], ["pos", "other"], "train.csv")
    with pytest.raises(DataError, match=r"train\.csv, id r1: the label 'other' is not among those"):
        faithfulness(trained, as_texts(*reviews(4)), rankings=["linear model"], train=strange)
    numbers = train_series(
        as_series(*waves()), ClassifyConfig(**SMALL | {"epochs": 1}, id="i", time="t", features=("a", "b"))
    )
    with pytest.raises(
        UsageError, match="this model reads numeric sequences, and faithfulness takes words out"
    ):
        faithfulness(numbers, as_texts(*reviews(4)))


def test_texts_without_words_are_passed_over_and_training_texts_are_named(trained):
    texts, labels = reviews(4)
    data = Texts(["a"] * 6, [*texts, "", " "], [*labels, "pos", "neg"], "t.csv", "0" * 64)
    found = faithfulness(trained, data, rankings=["first words"], draws=1)
    assert found.notes == [
        "4 of 6 texts, drawn by seed 0",
        "2 texts without a word passed over",
        "the run was trained on these texts",
    ]


def made(removed, random):
    """A study whose drops are these numbers a text, at every share and on both sides."""

    def same(drop):
        return Drops(*[[drop] * len(SHARES)] * 4)

    texts = [
        Measured(k, 10, "yes", 0.9, {"push": same(a), "random words": same(b)})
        for k, (a, b) in enumerate(zip(removed, random, strict=True))
    ]
    return Faithfulness({}, texts, ["push", "random words"], {}, [])


def test_means_differences_and_ratios_have_intervals_over_the_texts():
    draw = np.random.default_rng(1)
    chance = draw.uniform(0.05, 0.15, 400)
    removed = chance + 0.3 + draw.normal(0, 0.02, 400)
    push, random = made(removed.tolist(), chance.tolist()).rows()
    assert (push.ranking, random.ranking) == ("push", "random words")
    side = push.removed
    assert side.area.mean == pytest.approx(removed.mean()) and side.curve == pytest.approx(
        [removed.mean()] * 5
    )
    for interval, values in ((side.area, removed), (side.over_random, removed - chance)):
        half = 1.96 * values.std() / math.sqrt(400)  # the normal approximation of the bootstrap
        assert interval.high - interval.mean == pytest.approx(half, rel=0.15)
        assert interval.mean - interval.low == pytest.approx(half, rel=0.15)
    assert made(removed.tolist(), chance.tolist()).paired("push", "random words", "alone") == side.over_random
    assert side.times_random is not None
    assert side.times_random.mean == pytest.approx(removed.mean() / chance.mean())
    assert random.removed.times_random is not None and random.removed.times_random.high == pytest.approx(1)


def test_there_is_no_ratio_where_random_words_lose_nothing():
    push, _ = made([0.5, 0.6], [0.1, -0.1]).rows()
    assert push.removed.times_random is None
    assert made([0.5], [0.1]).rows()[0].removed.area.low == pytest.approx(0.5)
    with pytest.raises(UsageError, match="'beta' was not measured; there are push, random words"):
        made([0.5], [0.1]).paired("push", "beta")
    with pytest.raises(UsageError, match="side is 'left'; it can be 'removed' or 'alone'"):
        made([0.5], [0.1]).paired("push", "push", "left")
    json.dumps(made([0.5, 0.6], [0.1, -0.1]).to_dict(), allow_nan=False)


def test_a_log_without_a_file_keeps_nothing():
    log = FaithfulnessLog(None, {"seed": 1})
    log.add(Measured(0, 1, "yes", 0.5))
    assert list(log.texts) == [0]
