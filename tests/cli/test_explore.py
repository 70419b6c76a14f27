"""`gatewise explore`: the page of two texts, of two runs, of rows of a file; and calls that ask for too much."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from gatewise.tasks.classify.explored import Given, explore_inputs
from gatewise.tasks.classify.fitted import load_fitted

ONE, TWO = "There was hardly any boring moment.", "The film was dull and the music was loud."


def described(path) -> dict:
    found = re.search(r'id="explorer-values">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_two_texts_of_one_run_with_a_corpus(gatewise, trained, reviews, tmp_path):
    out = tmp_path / "page.html"
    called = gatewise(
        "explore", trained, ONE, TWO, "--corpus", reviews, "--text", "review", "--corpus-texts", "12", "--out", out,
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert called.code == 0, called.err
    values = described(out)
    assert [side["title"] for side in values["sides"]] == [ONE, TWO] and values["sameModel"]
    assert " ".join(values["sides"][0]["steps"]).lower().startswith("there was hardly any")
    assert len(values["corpus"]["texts"]) == called.json["corpus"]["texts"] == 12
    assert called.json["corpus"]["steps"] == sum(map(len, values["corpus"]["texts"]))
    assert called.json["sides"][0]["note"].split()[0] in ("negative", "positive")
    assert "gatewise explore" in out.read_text(encoding="utf-8"), "the command that made it"


def test_one_text_in_two_runs(gatewise, trained, tmp_path):
    second = tmp_path / "again"
    shutil.copytree(trained, second)
    out = tmp_path / "page.html"
    called = gatewise("explore", trained, ONE, "--with", second, "--out", out, "--device", "cpu")
    assert called.code == 0, called.err
    values = described(out)
    assert [side["title"] for side in values["sides"]] == [trained.name, "again"]
    assert not values["sameModel"] and values["corpus"] is None
    assert values["sides"][0]["steps"] == values["sides"][1]["steps"]


def test_two_sequences_of_a_file_by_their_ids(gatewise, trained_beats, beats, tmp_path):
    out = tmp_path / "page.html"
    called = gatewise(
        "explore", trained_beats, beats, "--row", "s01", "--row", "s02", "--corpus", beats, "--out", out,
        "--device", "cpu",
    )  # fmt: skip
    assert called.code == 0, called.err
    values = described(out)
    assert [side["title"] for side in values["sides"]] == ["s01", "s02"]
    assert [len(side["steps"]) for side in values["sides"]] == [6, 7]
    assert sorted(values["corpus"]["ids"]) == [f"s{n:02d}" for n in range(40)]


def test_contributions_of_all_units_and_the_bias_are_the_score(trained):
    fitted = load_fitted(trained, device="cpu")
    (side,) = explore_inputs([Given(fitted, ONE)]).sides
    head = fitted.network.output
    logits = fitted.logits([ONE])[0]
    best = int(logits.argmax())
    bias = head.bias.detach().double().numpy()
    score = 2 * (logits[best] - logits.mean())  # of two labels: their difference
    rest = 2 * (bias[best] - bias.mean())
    assert side.is_read
    assert float(side.layers[0].contributions.sum()) == pytest.approx(score - rest, abs=1e-5)


def test_the_states_of_a_corpus_are_those_of_each_text_alone(trained, reviews):
    from gatewise.data.texts import read_texts
    from gatewise.memory import record
    from gatewise.tasks.classify.explored import corpus_states

    fitted = load_fitted(trained, device="cpu")
    data = read_texts(reviews, text="review", id="key", need_labels=False)
    corpus = corpus_states(fitted, data, 7)
    assert corpus.ids is not None and len(set(corpus.ids)) == 7
    start = 0
    for name, words in zip(corpus.ids, corpus.texts, strict=True):
        text = data.texts[data.ids.index(name)]
        x, lengths = fitted.encoder.collate(fitted.encoder.cut(fitted.encoder.full([text])))
        with torch.no_grad(), record(fitted.network.recurrent) as trace:
            fitted.network.hidden(x, lengths)
        (lt,) = trace.layers()
        own = corpus.states["layer 0"][start : start + len(words)]
        assert own == pytest.approx(lt.h[:, 0].numpy(), abs=1e-6)
        start += len(words)
    assert start == len(corpus.states["layer 0"])
    assert np.isfinite(corpus.states["layer 0"]).all()


def test_calls_that_ask_for_too_much_are_refused(gatewise, trained, reviews, tmp_path):
    out = tmp_path / "page.html"
    many = gatewise("explore", trained, ONE, TWO, "--with", trained, "--out", out)
    assert (many.code, "a page has two sides, and this call asks for 3" in many.error) == (2, True)
    rows = gatewise("explore", trained, reviews, TWO, "--row", "1", "--out", out)
    assert (rows.code, "there is no second INPUT" in rows.error) == (2, True)
    nowhere = gatewise("explore", trained, ONE)
    assert (nowhere.code, "--out FILE" in nowhere.error) == (2, True)
    unknown = gatewise("explore", trained, ONE, "qqq zzz", "--out", out, "--device", "cpu")
    assert (unknown.code, "no word that the model knows" in unknown.error) == (1, True)
    missing = gatewise(
        "explore", trained, ONE, "--corpus", tmp_path / "none.csv", "--out", out, "--device", "cpu"
    )
    assert missing.code == 1 and "none.csv" in missing.error
    assert not out.exists()
    out.write_text("mine")
    there = gatewise("explore", trained, ONE, "--out", out)
    assert there.code == 1 and "exists" in there.error and out.read_text() == "mine"
