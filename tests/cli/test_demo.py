"""`gatewise demo`: what it leaves and says, with its figures counted again here."""

import numpy as np
import pytest
from conftest import call

import gatewise as gw
from gatewise.cli.demo import OPTIONS
from gatewise.data.reviews import load_reviews


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "build" / "demo"
    called = call("demo", "--out", folder, "--json")
    assert called.code == 0, called.err
    return folder, called


def test_demo_leaves_a_run_and_a_page(demo):
    folder, called = demo
    assert sorted(path.name for path in folder.iterdir()) == ["explanation.html", "run", "run-gru", "run-rnn"]
    assert called.json["report"] == str(folder / "explanation.html")
    html = (folder / "explanation.html").read_text(encoding="utf-8")
    assert "There was hardly any boring moment." in html
    assert f"to be opened in a browser: {folder / 'explanation.html'}" in called.err.splitlines()[-1]


def test_demo_figures_are_those_of_the_fixed_test_split(demo):
    folder, called = demo
    test = load_reviews("test")
    accuracy = np.mean(gw.load(folder / "run").predict(test.texts) == np.array(test.labels))
    found = called.json["test"]
    assert found["LSTM"]["accuracy"] == pytest.approx(accuracy, abs=1e-12)
    assert found["LSTM"]["examples"] == 808
    assert found["most frequent label"]["accuracy"] == 0.5
    assert found["linear model on bags of words"]["accuracy"] > 0.6


def test_demo_learns_more_than_the_majority_class_and_says_what_its_figures_are_worth(demo):
    _, called = demo
    # four standard deviations of a coin over 808 reviews
    assert called.json["test"]["LSTM"]["accuracy"] > 0.57
    assert "they say nothing about real reviews" in called.err


def test_demo_shows_what_a_plain_rnn_forgets_and_the_others_keep(demo):
    recall = demo[1].json["recall"]
    assert (recall["lag"], recall["chance"]) == (100, 0.25)
    assert recall["accuracy"]["rnn"] < 0.4
    assert min(recall["accuracy"]["gru"], recall["accuracy"]["lstm"]) > 0.95


def test_demo_sets_the_gradients_of_the_three_cells_side_by_side(demo):
    html = (demo[0] / "explanation.html").read_text(encoding="utf-8")
    assert all(f">{name}</text>" in html for name in ("LSTM", "GRU", "RNN"))


def test_demo_explains_the_review_with_a_sum_that_adds_up(demo):
    why = demo[1].json["explanation"]
    assert why["label"] == "positive"
    assert why["text"].startswith("Amazing movie!") and why["text"].endswith("hardly any boring moment.")
    assert sum(why["push"]) + why["initial"] + why["bias"] == pytest.approx(why["score"], abs=1e-5)
    assert sum(why["held"]) == pytest.approx(1, abs=1e-5)
    assert not any(why["cut"])


@pytest.mark.thorough  # that training is repeatable is tested with the recipe
def test_demo_again_in_the_same_place_gives_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIONS, "epochs", 1)
    weights = tmp_path / "run" / "model.safetensors"
    found = []
    for _ in range(2):
        assert call("demo", "--out", tmp_path).code == 0
        found.append(weights.read_bytes())
    assert found[0] == found[1]
