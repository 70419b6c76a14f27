"""`gatewise faithfulness` through the command line."""

import json

from gatewise.cli.classify.faithfulness import NAMES
from gatewise.tasks.classify.faithfulness import RANKINGS


def test_a_study_is_written_and_goes_on(gatewise, trained, reviews, tmp_path):
    call = (
        "faithfulness", trained, reviews, "--texts", "3", "--draws", "2", "--out", tmp_path / "study",
        "--rankings", "push,linear model,last words",
    )  # fmt: skip
    called = gatewise(*call)
    assert called.code == 0, called.err
    assert "3 of 3 texts" in called.err and "the run was trained on these texts" in called.out
    study = tmp_path / "study"
    table = (study / "table.md").read_text()
    assert table in called.out and str(study / "curves.svg") in called.out
    assert all(f"| {name} " in table for name in ("push", "linear model", "last words", "random words"))
    assert (study / "curves.svg").read_text().startswith("<svg")
    figures = json.loads((study / "figures.json").read_text())
    assert figures["texts"] == 3 and len(figures["rows"]) == 4
    log = (study / "texts.jsonl").read_text()
    again = gatewise(*call, "--json")
    assert "of 3 texts" not in again.err.replace("3 of 120 texts", "")
    assert again.json["rows"] == figures["rows"] and again.json["table"] == str(study / "table.md")
    assert (study / "texts.jsonl").read_text() == log


def test_without_the_texts_of_the_training_there_is_no_linear_model(gatewise, trained, reviews, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("review,sentiment\n" + "a fine film,good\na dull film,bad\n" * 3)
    call = (
        "faithfulness",
        trained,
        other,
        "--texts",
        "2",
        "--draws",
        "1",
        "--rankings",
        "linear model,first words",
    )
    rows = gatewise(*call, "--train", reviews, "--json").json["rows"]
    assert {row["ranking"] for row in rows} == {"linear model", "first words", "random words"}
    text = reviews.read_text()
    try:
        reviews.write_text(text + text.splitlines()[1] + "\n")
        called = gatewise(*call)
    finally:
        reviews.write_text(text)
    assert called.code == 0 and "is not as it was at the training, so there is no linear model" in called.err
    assert "not measured: linear model: no labelled texts were given" in called.out


def test_a_call_that_cannot_be_carried_out(gatewise, trained, trained_beats, beats, reviews, tmp_path):
    called = gatewise("faithfulness", trained_beats, beats)
    assert called.code == 2 and called.error == (
        "this model reads numeric sequences, and faithfulness takes words out of texts"
    )
    assert (
        "there is no ranking 'pushes'"
        in gatewise("faithfulness", trained, reviews, "--rankings", "pushes").error
    )
    assert (
        gatewise("faithfulness", trained, reviews, "--texts", "0").error
        == "texts is 0; it must be 1 at least"
    )
    none = gatewise("faithfulness", trained, tmp_path / "none.csv")
    assert none.code == 1 and none.error == f"{tmp_path / 'none.csv'}: there is no such file"
    (tmp_path / "texts.jsonl").write_text("mine\n")
    kept = gatewise("faithfulness", trained, reviews, "--rankings", "first words", "--out", tmp_path)
    assert kept.code == 2 and "line 1: neither the setup nor a text of a study" in kept.error
    assert (tmp_path / "texts.jsonl").read_text() == "mine\n"
    assert gatewise("faithfulness", trained, reviews, "--out", reviews).error == f"{reviews}: file exists"


def test_help_names_every_ranking():
    assert NAMES.split(", ") == list(RANKINGS)
