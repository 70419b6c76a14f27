"""RUN.training: who may use it, when it stays, when it goes, and when it becomes RUN."""

import os
import subprocess
import sys

import pytest
import torch

from gatewise.errors import RunError
from gatewise.training.checkpoint import Checkpoint, save_checkpoint
from gatewise.training.folder import training_run

EMPTY = Checkpoint({"model": {"w": torch.zeros(1)}}, {})


def left(run, step=3):
    """What a killed training leaves."""
    place = run.with_name(run.name + ".training")
    save_checkpoint(place / "checkpoints", step, EMPTY)
    (place / "config.toml").write_text("")
    return place


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_becomes_the_run_without_its_checkpoints(tmp_path):
    with training_run(tmp_path / "deep" / "run") as place:
        assert place == tmp_path / "deep" / "run.training"
        (place / "config.toml").write_text("")
        save_checkpoint(place / "checkpoints", 3, EMPTY)
        assert not (tmp_path / "deep" / "run").exists()
    assert names(tmp_path / "deep") == ["run"]
    assert names(tmp_path / "deep" / "run") == ["config.toml"]
    with training_run(tmp_path / "other", keep_checkpoints=True) as place:
        save_checkpoint(place / "checkpoints", 3, EMPTY)
    assert names(tmp_path / "other" / "checkpoints") == ["step-00000003"]


def test_an_error_before_any_step_leaves_nothing_and_one_later_what_can_be_resumed(tmp_path):
    for step in (None, 0):
        with pytest.raises(ZeroDivisionError), training_run(tmp_path / "run") as place:
            if step is not None:
                save_checkpoint(place / "checkpoints", step, EMPTY)
            raise ZeroDivisionError
        assert names(tmp_path) == []
    with pytest.raises(ZeroDivisionError), training_run(tmp_path / "run") as place:
        save_checkpoint(place / "checkpoints", 10, EMPTY)
        raise ZeroDivisionError
    assert names(tmp_path / "run.training" / "checkpoints") == ["step-00000010"]


def test_what_was_left_is_refused_resumed_or_thrown_away(tmp_path):
    place = left(tmp_path / "run")
    with pytest.raises(
        RunError, match=r"run\.training: an unfinished training is there; go on with it \(--resume"
    ):
        training_run(tmp_path / "run").__enter__()
    assert names(place) == ["checkpoints", "config.toml"]
    with training_run(tmp_path / "run", resume=True):
        assert names(place) == [".lock", "checkpoints", "config.toml"]
    left(tmp_path / "run")
    with training_run(tmp_path / "run", overwrite=True):
        assert names(place) == [".lock"]
        (place / "config.toml").write_text("")
        assert names(tmp_path / "run") == ["config.toml"]  # the earlier run, until the new one is there


def test_resume_begins_where_there_is_nothing(tmp_path):
    with training_run(tmp_path / "run", resume=True) as place:
        assert names(place) == [".lock"]


def test_a_finished_run_is_not_resumed(tmp_path):
    with training_run(tmp_path / "run") as place:
        (place / "config.toml").write_text("")
    with pytest.raises(RunError, match="run: exists and is not empty"):
        training_run(tmp_path / "run", resume=True).__enter__()


def test_what_is_no_training_is_not_touched(tmp_path):
    (tmp_path / "run.training").mkdir()
    (tmp_path / "run.training" / "thesis.tex").write_text("years of work")
    for overwrite, resume in ((True, False), (False, True)):
        with pytest.raises(RunError, match="holds no unfinished training, so nothing in it is touched"):
            training_run(tmp_path / "run", overwrite=overwrite, resume=resume).__enter__()
    assert names(tmp_path / "run.training") == ["thesis.tex"]
    (tmp_path / "file.training").write_text("")
    with pytest.raises(RunError, match=r"file\.training: is a file"):
        training_run(tmp_path / "file", resume=True).__enter__()
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="taken: is a file"):
        training_run(tmp_path / "taken").__enter__()


def test_a_run_that_appeared_meanwhile_is_not_overwritten(tmp_path):
    with (
        pytest.raises(RunError, match="exists and is not empty"),
        training_run(tmp_path / "run") as place,
    ):
        save_checkpoint(place / "checkpoints", 10, EMPTY)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.toml").write_text("mine")
    assert (tmp_path / "run" / "config.toml").read_text() == "mine"
    assert names(tmp_path / "run.training" / "checkpoints") == ["step-00000010"]


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX records")
def test_two_processes_cannot_train_in_one_folder(tmp_path):
    script = (
        "import sys; from gatewise.training.folder import training_run\n"
        "try: training_run(sys.argv[1], resume=True).__enter__()\n"
        "except Exception as error: print(error)"
    )
    with training_run(tmp_path / "run") as place:
        (place / "config.toml").write_text("")
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "run")],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout == f"{place}: another process is training there\n"
        assert names(place) == [".lock", "config.toml"]
