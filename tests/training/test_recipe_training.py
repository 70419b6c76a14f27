"""What surrounds the loop in every recipe: the folder, what is noted and said, and what may not change."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from gatewise.errors import UsageError
from gatewise.training.job import Job
from gatewise.training.progress import Silent
from gatewise.training.recipe import begin_training, hashes_of, notes_of, sources
from gatewise.training.recipe_config import ExamplesConfig
from gatewise.training.sums import Sum

CONFIG = ExamplesConfig(epochs=2, warmup=0, learning_rate=0.1, device="cpu", validation=0.25, seed=3)


class Read:
    """Data of which a row was left out."""

    def __init__(self, sha256="ab"):
        self.sha256, self.notes = sha256, ["one row left out"]


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def train(out=None, *, config=CONFIG, read=None, validation=None, fail_at=0, stop_at=0, **job):
    """Two epochs of three steps on a line of two weights; what the run says."""
    read, told, calls = read or Read(), Told(), []

    def loss(model, batch):
        calls.append(batch)
        if len(calls) == fail_at:
            raise RuntimeError("the machine went down")
        return Sum(model(torch.tensor([[1.0, batch]])).square().sum(), 1)

    with begin_training(
        config, Job(out=out, progress=told, command="gatewise train made", **job),
        task="made", hashes=hashes_of(read, validation), notes=notes_of(read, validation),
    ) as training:  # fmt: skip
        network = nn.Linear(2, 1)
        stop = [lambda moment: moment.tick.step == stop_at]
        outcome = training.fit(network, lambda epoch: [0.0, 1.0, 2.0], loss, callbacks=stop)
        described = training.described(
            outcome,
            network,
            **sources(lambda data: {"sha256": data.sha256}, read, validation),
            split=training.split(range(6), range(2), "of the rows held out"),
        )
        training.save(lambda folder: (folder / "metrics.json").write_text(json.dumps(described)))
    return described, told.notes, [p.detach().clone() for p in network.parameters()]


def test_a_run_says_how_it_was_made(tmp_path):
    said, told, _ = train(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == said
    assert list(said)[:4] == ["format", "task", "data", "split"]
    assert said["split"] == {
        "training": 6,
        "validation": 2,
        "how": "0.25 of the rows held out, seed 3",
    }
    assert (
        said["training"].items() >= {"steps": 6, "epochs": 2, "stopped": "finished", "parameters": 3}.items()
    )
    assert said["training"]["threads"] == torch.get_num_threads()
    assert set(said["versions"]) == {"gatewise", "torch", "numpy", "python"}
    assert said["command"] == "gatewise train made"
    assert said["notes"] == told == ["one row left out"]
    assert (tmp_path / "run" / "config.toml").read_text().startswith('format = 1\ntask = "made"\n')
    assert "validation_data" not in said


def test_a_validation_part_that_was_given_is_told_from_one_held_out():
    said, told, _ = train(validation=Read("cd"))
    assert (said["data"], said["validation_data"]) == ({"sha256": "ab"}, {"sha256": "cd"})
    assert said["split"]["how"] == "given"
    assert told == ["one row left out", "validation: one row left out"]


def test_an_early_end_is_noted_last():
    said, told, _ = train(stop_at=4)
    assert said["notes"] == told == [
        "one row left out",
        "stopped after 4 steps by a callback; the best weights until then were kept",
    ]  # fmt: skip


def test_a_training_goes_on_with_the_same_data_alone(tmp_path):
    _, _, whole = train()
    with pytest.raises(RuntimeError, match="went down"):
        train(tmp_path / "run", fail_at=5)
    assert (tmp_path / "run.training" / "config.toml").exists()
    with pytest.raises(
        UsageError, match="begun with the SHA-256 of the training data = ab, and cannot go on"
    ):
        train(tmp_path / "run", read=Read("ef"), resume=True)
    with pytest.raises(UsageError, match="begun with the SHA-256 of the validation data = null, and cannot"):
        train(tmp_path / "run", validation=Read("ef"), resume=True)
    _, _, resumed = train(tmp_path / "run", resume=True)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_an_error_before_the_first_step_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="went down"):
        train(tmp_path / "run", fail_at=1)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_and_no_resume():
    with pytest.raises(UsageError, match="resume and tensorboard need a run folder, and none is given"):
        train(resume=True)


def test_an_average_that_waits_for_validation_needs_some(tmp_path):
    with pytest.raises(UsageError, match="average is 'nt-asgd', which needs a validation part, and there is"):
        train(tmp_path / "run", config=replace(CONFIG, average="nt-asgd"))
    assert list(tmp_path.iterdir()) == []
