"""The run folder: whole or not at all, and every fault named when it is read."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from gatewise.errors import RunError
from gatewise.training.run import check_finite, fill, new_run, read_run, save_weights, write_json

HEAD = 'format = 1\ntask = "classify"\n'


def made(folder, text="first"):
    with new_run(folder) as partial:
        (partial / "config.toml").write_text(HEAD)
        (partial / "note.txt").write_text(text)


def test_a_run_appears_whole_when_it_is_complete(tmp_path):
    with new_run(tmp_path / "a" / "run") as partial:
        (partial / "x").write_text("1")
        assert not (tmp_path / "a" / "run").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["run"]
    assert (tmp_path / "a" / "run" / "x").read_text() == "1"


def test_after_an_error_nothing_is_left(tmp_path):
    with pytest.raises(ZeroDivisionError), new_run(tmp_path / "run") as partial:
        (partial / "x").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_filled_folder_is_refused_and_an_empty_one_taken(tmp_path):
    made(tmp_path / "run")
    with pytest.raises(RunError, match="exists and is not empty"), new_run(tmp_path / "run"):
        raise AssertionError
    (tmp_path / "empty").mkdir()
    made(tmp_path / "empty")
    assert (tmp_path / "empty" / "note.txt").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"), new_run(tmp_path / "file", overwrite=True):
        raise AssertionError


def test_overwriting_replaces_only_after_success_and_only_runs(tmp_path):
    made(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), new_run(tmp_path / "run", overwrite=True):
        raise ZeroDivisionError
    assert (tmp_path / "run" / "note.txt").read_text() == "first"
    with new_run(tmp_path / "run", overwrite=True) as partial:
        (partial / "config.toml").write_text(HEAD)
        assert (tmp_path / "run" / "note.txt").read_text() == "first"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["config.toml"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "photo.jpg").write_text("")
    with pytest.raises(RunError, match="not a run"), new_run(tmp_path / "holidays", overwrite=True):
        raise AssertionError
    assert (tmp_path / "holidays" / "photo.jpg").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_killed_while_writing_leaves_no_run(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from gatewise.training.run import new_run
        with new_run(sys.argv[1]) as partial:
            (partial / "config.toml").write_text("format")
            print("writing", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not (tmp_path / "run").exists()
    with pytest.raises(RunError, match="no such run folder"):
        read_run(tmp_path / "run")
    made(tmp_path / "run")  # what it left behind is in nobody's way
    assert read_run(tmp_path / "run").task == "classify"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('task = "classify"\n', "format is missing"),
        ("format = 1\n", "task is missing"),
        (
            'format = 2\ntask = "classify"\n',
            "written by a newer version (format 2; this version reads up to 1)",
        ),
        ("format = 1\ntask = 3\n", "task is 3; it must be a text"),
        ("format 1\n", "not a TOML file"),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, content, sentence):
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(RunError) as error:
        read_run(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'config.toml'}: ")
    assert sentence in str(error.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        read_run(tmp_path / "none")
    with pytest.raises(RunError, match=r"config\.toml is missing"):
        read_run(tmp_path)
    made(tmp_path / "run")
    run = read_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"metrics\.json is missing"):
        run.json("metrics.json")
    for content in ("{", "[1]", '"x"', "[" * 100_000):
        (tmp_path / "run" / "metrics.json").write_text(content)
        with pytest.raises(RunError, match=r"metrics\.json: "):
            run.json("metrics.json")
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"x": float("nan")})


def test_weights_go_out_and_come_back_bit_by_bit(tmp_path):
    made(tmp_path / "run")
    model, other = nn.LSTM(3, 4), nn.LSTM(3, 4)
    save_weights(model, tmp_path / "run" / "model.safetensors")
    run = read_run(tmp_path / "run")
    fill(other, run.weights(), run.path("model.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    made(tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    run = read_run(tmp_path / "run")
    save_weights(nn.Linear(2, 3), path)
    cases = [
        (nn.Linear(2, 4), r"'bias' is float32 \[3\]; the configuration needs float32 \[4\]"),
        (
            nn.Linear(2, 3, dtype=torch.float64),
            r"'bias' is float32 \[3\]; the configuration needs float64 \[3\]",
        ),
        (nn.Linear(2, 3, bias=False), "'bias' is not part of this model"),
        (nn.LSTM(2, 3), "'bias' is not part of this model"),
    ]
    for model, sentence in cases:
        with pytest.raises(RunError, match=sentence):
            fill(model, run.weights(), path)
    save_weights(nn.Linear(2, 3, bias=False), path)
    with pytest.raises(RunError, match="'bias' is missing"):
        fill(nn.Linear(2, 3), run.weights(), path)
    broken = nn.Linear(2, 3)
    with torch.no_grad():
        broken.weight[0, 0] = torch.nan
    save_weights(broken, path)
    with pytest.raises(RunError, match="'weight' holds numbers that are not finite"):
        check_finite(run.weights(), path)
    path.write_bytes(b"\x00" * 40)
    with pytest.raises(RunError, match="not a readable safetensors file"):
        run.weights()
