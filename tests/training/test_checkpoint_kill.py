"""A save that is killed or that fails at any moment leaves the older checkpoint the latest, and readable."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from gatewise.errors import RunError
from gatewise.training.checkpoint import Checkpoint, latest_checkpoint, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork and SIGKILL")


def checkpoint(step, size=8):
    """Every value says which step it is of, so that a mixture would be seen."""
    tensors = {group: {"w": torch.full((size,), float(step))} for group in ("model", "optimizer", "random")}
    return Checkpoint(tensors, {"step": step}, f"step = {step}\n")


def whole(path):
    """The step of a checkpoint, all of whose parts are of one save."""
    read = load_checkpoint(path)
    step = read.state["step"]
    assert read.config == f"step = {step}\n" and set(read.tensors) == {"model", "optimizer", "random"}
    assert all((group["w"] == step).all() for group in read.tensors.values())
    return step


def in_a_child(work):
    """Run `work` in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


CALLS = ("open", "mkdir", "rename", "fsync", "rmdir", "unlink")


def every_call_of_the_system(meet):
    """Call `meet` before each change of the disk that Python's own `os` makes."""
    for name in CALLS:
        plain = getattr(os, name)

        def met(*arguments, _plain=plain, **named):
            meet()
            return _plain(*arguments, **named)

        setattr(os, name, met)


@pytest.mark.parametrize(("before", "step", "keep"), [([3], 4, 1), ([2, 3], 4, 2), ([2, 3], 3, 2)])
def test_killed_before_every_call_of_the_system(tmp_path, before, step, keep):
    """The n-th call is met with SIGKILL, for every n until a save gets through; also when it replaces its own step."""
    for old in before:
        save_checkpoint(tmp_path / "before", old, checkpoint(old), keep=2)
    for number in range(1000):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "before", folder)

        def work(folder=folder, number=number):
            left = iter(range(number))
            every_call_of_the_system(
                lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL)
            )
            save_checkpoint(folder, step, checkpoint(step), keep=keep)

        _, status = os.waitpid(in_a_child(work), 0)
        latest = latest_checkpoint(folder)
        assert latest and whole(latest) in (before[-1], step)
        save_checkpoint(folder, 9, checkpoint(9), keep=2)  # sweeps, and keeps one beside its own
        assert sorted(path.name for path in folder.iterdir()) == [latest.name, "step-00000009"]
        assert whole(latest) in (before[-1], step)
        if os.WIFEXITED(status):
            break
    assert os.WIFEXITED(status) and whole(latest) == step and number > 15


def test_killed_at_random_moments(tmp_path):
    """A child saves without end; the killed folder is read, and the next child goes on in it."""
    chance, last = random.Random(7), 0
    begun = time.monotonic()
    save_checkpoint(tmp_path, 0, checkpoint(0, 60_000))
    one_save = time.monotonic() - begun
    for _ in range(20):

        def work(first=last + 1):
            for step in range(first, first + 10_000):
                save_checkpoint(tmp_path, step, checkpoint(step, 60_000))

        child = in_a_child(work)
        time.sleep(chance.uniform(0.0, 3 * one_save))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        path = latest_checkpoint(tmp_path)
        assert path
        step = whole(path)
        assert path.name == f"step-{step:08d}" and step >= last
        last = step
    save_checkpoint(tmp_path, last + 1, checkpoint(last + 1))
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{last + 1:08d}"]


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_a_disk_that_refuses_is_said_and_the_older_one_stays(tmp_path, monkeypatch, call):
    """ENOSPC at the n-th call of one kind, for every n until a save gets through."""
    plain, failed = getattr(os, call), 0
    for number in range(100):
        folder = tmp_path / str(number)
        save_checkpoint(folder, 1, checkpoint(1))
        left = iter(range(number))

        def refuse(*arguments, _left=left, **named):
            if next(_left, None) is None:
                raise OSError(28, "No space left on device")
            return plain(*arguments, **named)

        monkeypatch.setattr(os, call, refuse)
        try:
            save_checkpoint(folder, 2, checkpoint(2))
        except RunError as error:
            failed += 1
            assert str(error) == (
                f"{folder / 'step-00000002'}: the checkpoint cannot be written (No space left on device)"
            )
        else:
            break
        finally:
            monkeypatch.setattr(os, call, plain)
        path = latest_checkpoint(folder)
        assert path and whole(path) in (1, 2)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert failed >= {"fsync": 8, "rename": 2, "mkdir": 1}[call]


def test_an_older_one_goes_only_after_the_new_one_is_safe(tmp_path, monkeypatch):
    """What the disk was asked, in order: files, folder, rename, parent, and only then the older one is moved."""
    asked = []
    save_checkpoint(tmp_path, 1, checkpoint(1))
    plain = {name: getattr(os, name) for name in ("fsync", "rename")}
    monkeypatch.setattr(
        os,
        "fsync",
        lambda handle: (
            asked.append(str(Path(f"/proc/self/fd/{handle}").readlink())),
            plain["fsync"](handle),
        ),
    )
    monkeypatch.setattr(
        os, "rename", lambda a, b: (asked.append(f"rename {os.fspath(a)}"), plain["rename"](a, b))
    )
    save_checkpoint(tmp_path, 2, checkpoint(2))
    partial = str(Path(asked[0]).parent)
    files = ["config.toml", "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]
    assert asked == [
        *(f"{partial}/{name}" for name in [*files, "manifest.json"]),
        partial,
        f"rename {partial}",
        str(tmp_path),
        f"rename {tmp_path / 'step-00000001'}",
    ]
