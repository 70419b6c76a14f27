"""`gatewise units`: what it prints is what the Python door finds, and bad calls are one sentence."""

import json

import pytest

from gatewise.data.texts import read_texts
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.units import find_units

QUICK = ("--permutations", "49", "--count", "2")


def test_units_of_a_run_in_words_and_as_json(gatewise, trained, reviews):
    called = gatewise("units", trained, reviews, *QUICK, "--words", "3", "--near", "A dull film .")
    assert called.code == 0
    found = find_units(
        load_fitted(trained),
        read_texts(reviews, text="review", label="sentiment"),
        count=2,
        words=3,
        permutations=49,
    )
    assert called.out.startswith("read 120 texts from")
    assert (
        "of 8 units of the top layer (c after the last step, 120 examples) these track the label most:"
        in called.out
    )
    for unit in found.units:
        assert (
            f"unit {unit.unit}  point-biserial {unit.correlation:+.3f}, p {unit.p:.4f}, larger for {unit.label}"
            in called.out
        )
        for verb, moved in (("rises", unit.raised_by), ("falls", unit.lowered_by)):
            shown = ", ".join(f"{one.word} {one.change:+.2f} ({one.times})" for one in moved)
            assert not moved or f"  {verb} at {shown}\n" in called.out
    probe = found.probe
    assert probe is not None
    assert f"accuracy of a linear probe on 30 of 120 examples: all units {probe.score:.4f}" in called.out
    assert "nearest to the memory after 'A dull film .'" in called.out
    as_json = gatewise("units", trained, reviews, *QUICK, "--words", "3", "--json").json
    assert as_json == json.loads(json.dumps({"run": str(trained)} | found.to_dict()))


def test_near_as_json_names_the_rows(gatewise, trained, reviews):
    made = gatewise("units", trained, reviews, *QUICK, "--near", "A dull film .", "--json").json
    texts = read_texts(reviews, text="review", label="sentiment", id="key")
    assert len(made["near"]) == 5
    for one in made["near"]:
        assert one["label"] == (texts.labels or [])[one["sequence"]] and one["word"] in one["context"]
    assert [one["distance"] for one in made["near"]] == sorted(one["distance"] for one in made["near"])


def test_units_of_numeric_sequences(gatewise, trained_beats, beats):
    called = gatewise("units", trained_beats, beats, *QUICK)
    assert (
        called.code == 0
        and "rises at" not in called.out
        and "(c after the last step, 40 examples)" in called.out
    )
    near = gatewise("units", trained_beats, beats, *QUICK, "--near", "up")
    assert (near.code, near.error) == (2, "--near takes a text, and this run reads numeric sequences")


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--state", "o"), 2, "state is 'o'; it can be 'c' or 'h'"),
        (("--count", "0"), 2, "count is 0 and words 6; 1 and 0 or more are needed"),
        (("--permutations", "0"), 2, "permutations is 0; 1 or more are needed"),
        (("--near", " "), 1, "the text is empty"),
    ],
)
def test_bad_calls(gatewise, trained, reviews, options, code, sentence):
    called = gatewise("units", trained, reviews, *QUICK, *options)
    assert (called.code, called.error) == (code, sentence)
