"""`gatewise flow` through the command line, with trials that were trained before."""

import json
from dataclasses import asdict

import pytest

from gatewise.cli.flow import NAMES
from gatewise.tasks.long_lag import EXPERIMENTS, Trial


@pytest.fixture
def folder(tmp_path):
    experiment = EXPERIMENTS["order-2"]
    trials = [
        Trial("order-2", cell, seed, cell == "lstm", 30_000, 0, 2560, 0.01, "criterion", 9, 5.0, [(30_000, 1.0)],
              experiment.options())
        for cell in ("rnn", "lstm")
        for seed in (0, 1)
    ]  # fmt: skip
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(asdict(trial)) + "\n" for trial in trials))
    return tmp_path


def test_what_is_trained_is_shown_and_not_trained_again(gatewise, folder):
    call = ("flow", "order-2", "--cells", "rnn,lstm", "--seeds", "0,1", "--out", folder)
    before = (folder / "trials.jsonl").read_text()
    called = gatewise(*call)
    assert called.code == 0, called.err
    assert "2 of 2" in called.out and "31,390" in called.out and str(folder / "picture.svg") in called.out
    assert (folder / "table.md").read_text() in called.out
    assert (folder / "picture.svg").read_text().startswith("<svg")
    assert (folder / "trials.jsonl").read_text() == before
    values = gatewise(*call, "--json").json
    assert [row["successes"] for row in values["rows"]] == [0, 2]
    assert values["table"] == str(folder / "table.md")


def test_a_call_that_cannot_be_carried_out(gatewise, folder, tmp_path):
    called = gatewise("flow", "adding-100", "--no-train", "--out", folder)
    assert called.code == 2 and "holds none of these trials" in called.error
    assert "there is no experiment 'adding'" in gatewise("flow", "adding", "--out", folder).error
    assert "--quick runs reber, order-2; it takes no names" in gatewise("flow", "reber", "--quick").error
    assert "--seeds is 'a'" in gatewise("flow", "--seeds", "a", "--out", folder).error


def test_help_names_every_experiment():
    assert NAMES.split(", ") == list(EXPERIMENTS)
