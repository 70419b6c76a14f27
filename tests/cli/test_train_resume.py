"""`gatewise train … --resume`: what goes on, what is refused, and what is said."""

import json
import shutil

import pytest
from safetensors.torch import load_file

from gatewise.training import recipe

FLAGS = (
    "--embedding-size", "8", "--hidden-size", "8", "--epochs", "3", "--batch-size", "16", "--learning-rate", "0.01",
    "--validation", "0.2", "--device", "cpu", "--save-every", "2",
)  # fmt: skip


class Killed(BaseException):
    """As a kill would, nobody handles it."""


@pytest.fixture
def unfinished(gatewise, reviews, tmp_path, monkeypatch):
    """A training that ended after its 8th step, and how it was called."""
    plain = recipe.fit

    def fit(*arguments, **named):
        def die(moment):
            if moment.tick.step == 8:
                raise Killed

        return plain(*arguments, **named | {"callbacks": [*named["callbacks"], die]})

    call = ("train", "classify", reviews, "--out", tmp_path / "run", *FLAGS)
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "fit", fit)
        with pytest.raises(Killed):
            gatewise(*call)
    return call


def test_a_killed_training_goes_on_to_the_same_run(gatewise, unfinished, tmp_path):
    place = tmp_path / "run.training"
    assert {path.name for path in place.iterdir()} >= {
        "config.toml",
        "steps.jsonl",
        "metrics.jsonl",
        "checkpoints",
    }
    assert not (tmp_path / "run").exists()
    done = gatewise(*unfinished, "--resume", "--workers", "1", "--json")
    assert done.code == 0, done.err
    whole = gatewise(*unfinished[:4], tmp_path / "whole", *FLAGS, "--json")
    assert not place.exists() and not (tmp_path / "run" / "checkpoints").exists()
    steps = [(tmp_path / name / "steps.jsonl").read_bytes() for name in ("run", "whole")]
    assert steps[0] == steps[1] and steps[0].count(b"\n") == 18
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole")]
    assert all((weights[0][name] == value).all() for name, value in weights[1].items())
    for figure in ("validation", "temperature", "half_lives", "baselines", "split", "data"):
        assert done.json[figure] == whole.json[figure], figure
    again = gatewise(*unfinished, "--resume")
    assert again.code == 1 and "run: exists and is not empty" in again.error


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            (),
            "an unfinished training is there; go on with it (--resume, resume=True) or throw it away (--overwrite",
        ),
        (
            ("--resume", "--learning-rate", "0.02"),
            "was begun with learning_rate = 0.01, and cannot go on with 0.02",
        ),
        (("--resume", "--cell", "gru"), "was begun with cell = lstm, and cannot go on with gru"),
        (("--resume", "--seed", "7"), "was begun with seed = 0, and cannot go on with 7"),
    ],
)
def test_what_does_not_fit_is_one_sentence(gatewise, unfinished, tmp_path, flags, sentence):
    before = (tmp_path / "run.training" / "steps.jsonl").read_bytes()
    called = gatewise(*unfinished, *flags)
    assert called.code in (1, 2) and sentence in called.error
    assert str(tmp_path / "run.training") in called.error
    assert (tmp_path / "run.training" / "steps.jsonl").read_bytes() == before


def test_other_data_are_refused_and_the_same_data_elsewhere_are_not(gatewise, unfinished, reviews, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(reviews.read_text(encoding="utf-8").replace("film", "movie", 1), encoding="utf-8")
    called = gatewise("train", "classify", other, *unfinished[3:], "--resume")
    assert "was begun with the SHA-256 of the training data = " in called.error
    shutil.copy(reviews, tmp_path / "moved.csv")
    called = gatewise("train", "classify", tmp_path / "moved.csv", *unfinished[3:], "--resume")
    assert called.code == 0, called.err


def test_a_damaged_checkpoint_is_named(gatewise, unfinished, tmp_path):
    (checkpoint,) = (tmp_path / "run.training" / "checkpoints").iterdir()
    with (checkpoint / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    called = gatewise(*unfinished, "--resume")
    assert called.code == 1
    assert "step-00000006/model.safetensors: its SHA-256 is" in called.error.replace("\\", "/")


def test_overwrite_begins_anew(gatewise, unfinished, tmp_path):
    called = gatewise(*unfinished, "--overwrite", "--keep-checkpoints", "2", "--seed", "3")
    assert called.code == 0, called.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["split"]["how"].endswith("seed 3")
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


def test_resume_where_there_is_nothing_begins(gatewise, reviews, tmp_path):
    called = gatewise(
        "train", "classify", reviews, "--out", tmp_path / "run", *FLAGS, "--resume", "--minutes", "5"
    )
    assert called.code == 0, called.err
    assert (tmp_path / "run" / "steps.jsonl").read_bytes().count(b"\n") == 18


def test_a_watch_over_gradients_changes_no_weight_and_its_log_goes_on_after_a_kill(
    gatewise, unfinished, tmp_path
):
    resumed = gatewise(*unfinished, "--resume", "--watch-gradients", "5", "--json")
    assert resumed.code == 0, resumed.err
    assert "step 7: recurrent, layer 0: the gradient of c reaches" in resumed.err
    assert "step 7: recurrent, layer 0" not in resumed.out
    whole = gatewise(*unfinished[:4], tmp_path / "whole", *FLAGS, "--json")
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole")]
    assert all((weights[0][name] == value).all() for name, value in weights[1].items())
    assert resumed.json["validation"] == whole.json["validation"]
    lines = (tmp_path / "run" / "gradients.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [7, 10, 15]
    refused = gatewise(*unfinished[:4], tmp_path / "other", "--watch-gradients", "-1")
    assert refused.code == 2 and "--watch-gradients" in refused.err
