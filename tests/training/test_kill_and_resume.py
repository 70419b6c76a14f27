"""A few of the kills of `benchmarks.resume`, which has the whole story; here the machinery is watched, too."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.resume.__main__ import summary
from benchmarks.resume.killing import Killed, Whole, _look
from gatewise.training.checkpoint import Checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork and SIGKILL")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_trainings_go_on_bit_for_bit(tmp_path):
    names = ["swa, accumulated, 2 workers", "language model, carried state"]
    only = [word for name in names for word in ("--only", name)]
    out = tmp_path / "resume.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.resume", "--kills", "3", "--seed", "2", "--out", str(out), *only],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text(encoding="utf-8"))
    assert list(result["trainings"]) == names
    assert result["kills"] >= 3 and result["equal"] == result["resumed"] >= 2
    assert result["unreadable"] == result["different"] == []
    assert result["trainings"][names[0]]["steps"] == 117  # 9 epochs of 25 batches, two a step


def test_what_went_wrong_would_be_seen(tmp_path):
    """A checkpoint that does not load, and steps that are not those of the undisturbed training."""
    whole = Whole(b"1\n2\n3\n", [], b"", 1.0)
    killed = Killed("one", ["training"], 0, [], [])
    path = save_checkpoint(tmp_path / "checkpoints", 2, Checkpoint({}, {}))
    (tmp_path / "steps.jsonl").write_bytes(b"1\n2\n")
    _look(tmp_path, whole, killed)
    assert (killed.checkpoints, killed.unreadable, killed.different) == (1, [], [])
    fine = replace(killed)
    (path / "state.json").write_text("{} ")
    (tmp_path / "steps.jsonl").write_bytes(b"1\n7\n")
    _look(tmp_path, whole, killed)
    assert (killed.checkpoints, killed.different) == (2, ["steps before the kill"])
    assert "state.json" in killed.unreadable[0]
    counted = summary([replace(fine, unreadable=[], different=[]), killed])
    assert (counted["kills"], counted["equal"], len(counted["unreadable"])) == (2, 1, 1)
    assert counted["different"] == ["one: steps before the kill"]
