"""A training that ended anywhere goes on bit for bit: weights, averages, carried states, figures and logs."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from test_carried import Letters
from test_carried import loss as letters_loss
from torch import nn

from gatewise.errors import RunError, UsageError
from gatewise.training import resume as resuming
from gatewise.training.carried import Carried, TokenStreams
from gatewise.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

BASE = LoopOptions(epochs=3, learning_rate=0.02, warmup=0, save_every=2, clip=1.0)
DATA = torch.randn(23, 4, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randint(0, 5, (100,), generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch):
    """What ends here is a process, not the machine: nothing needs to be on a disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Killed(BaseException):
    """Nothing catches it but what must run also when a process goes on."""


class Case:
    """One way to train; every call starts from the same seed, as a new process would."""

    def __init__(self, options, *, carried=False):
        self.options, self.carried = options, carried

    def batches(self, epoch):
        if self.carried:
            return TokenStreams(TOKENS, streams=3, steps=4 + 3)
        order = torch.randperm(len(DATA), generator=torch.Generator().manual_seed(epoch))
        return [part.tolist() for part in order.split(4)]

    def evaluate(self, model):
        noise = torch.rand(()).item()  # draws too: the random state is that after the evaluation
        weight = next(model.parameters()).sum().item()
        return {"accuracy": round(noise, 1), "loss": weight}

    def train(self, folder, *, die_at=None, resume=False, **changes):
        torch.manual_seed(3)
        model = (
            Letters() if self.carried else nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.4), nn.Linear(6, 1))
        )

        def loss(model, x):
            return Sum(model(x).square().sum() + x.sum(), len(x))

        def die(moment):
            if moment.tick.step == die_at:
                raise Killed

        return model, fit(
            model,
            self.batches,
            Carried(letters_loss) if self.carried else loss,
            replace(self.options, **changes),
            prepare=None if self.carried else lambda batch: DATA[batch],
            evaluate=self.evaluate,
            callbacks=[die],
            folder=folder,
            resume=resume,
            about={"data": "a1"},
        )


CASES = {
    "ema": Case(replace(BASE, ema=0.9)),
    "swa": Case(replace(BASE, average="swa", average_from=0.4, accumulate=2, schedule="cosine")),
    "asgd": Case(replace(BASE, average="asgd", average_from=0.5, validate_every=4, save_every=3)),
    "patience": Case(replace(BASE, validate_every=2, patience=2, weight_decay=0.1, save_every=5)),
    "carried": Case(replace(BASE, epochs=2), carried=True),
    "carried, accumulated": Case(replace(BASE, epochs=2, accumulate=3, save_every=1), carried=True),
}


def logged(folder):
    """Both logs, but for the seconds."""
    steps = (folder / "steps.jsonl").read_bytes()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return steps, [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("name", CASES)
def test_it_goes_on_bit_for_bit_wherever_it_was_killed(name, tmp_path):
    case = CASES[name]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    model, outcome = case.train(whole)
    for step in range(1, outcome.steps + 1):  # each time it gets one step further
        with pytest.raises(Killed):
            case.train(killed, die_at=step, resume=True)
        torch.rand(step)  # a new process knows nothing of the old one's random state
    other, again = case.train(killed, resume=True)
    assert logged(killed) == logged(whole)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert again.history[-1]["seconds"] > 0
    assert (again.steps, again.epochs, again.best_epoch, again.stopped) == (
        outcome.steps,
        outcome.epochs,
        outcome.best_epoch,
        outcome.stopped,
    )


def test_the_cases_are_about_what_they_say(tmp_path):
    """Else the test above would compare trainings in which nothing of interest happens."""
    outcomes = {}
    for name, case in CASES.items():
        (tmp_path / name).mkdir()
        outcomes[name] = case.train(tmp_path / name)[1]
        saved = load_checkpoint(latest_checkpoint(tmp_path / name / "checkpoints"))
        assert ("average" in saved.tensors) == (name in ("ema", "swa", "asgd"))
        assert ("carried" in saved.tensors) == name.startswith("carried")
        assert saved.tensors["best"].keys() == saved.tensors["model"].keys()
    assert outcomes["patience"].stopped == "patience"
    assert outcomes["swa"].steps == 9 and outcomes["ema"].steps == 18
    assert outcomes["ema"].best_epoch != outcomes["ema"].epochs


def test_several_kills_and_a_change_of_workers_on_the_way(tmp_path):
    case = CASES["ema"]
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    model, _ = case.train(tmp_path / "whole")
    for number, (step, workers) in enumerate([(3, 2), (9, 0), (14, 1)]):
        with pytest.raises(Killed):
            case.train(tmp_path / "killed", die_at=step, resume=number > 0, workers=workers)
    other, _ = case.train(tmp_path / "killed", resume=True, workers=2)
    assert logged(tmp_path / "killed") == logged(tmp_path / "whole")
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_a_finished_training_is_resumed_to_the_same_end(tmp_path):
    model, outcome = CASES["ema"].train(tmp_path)
    before = logged(tmp_path)
    other, again = CASES["ema"].train(tmp_path, resume=True)
    assert logged(tmp_path) == before
    assert again.history == outcome.history
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_where_nothing_was_saved_it_begins(tmp_path):
    (tmp_path / "steps.jsonl").write_text("what an earlier process wrote before its first checkpoint\n")
    CASES["ema"].train(tmp_path, resume=True)
    assert logged(tmp_path)[0].count(b"\n") == 18


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"learning_rate": 0.5}, "learning_rate = 0.02, and cannot go on with 0.5"),
        ({"average": "asgd"}, "average = ema, and cannot go on with asgd"),
        ({"betas": (0.9, 0.9)}, r"betas = \[0.9, 0.98\], and cannot go on with \[0.9, 0.9\]"),
    ],
)
def test_other_options_are_refused_by_name_with_both_values(tmp_path, change, sentence):
    CASES["ema"].train(tmp_path)
    before = logged(tmp_path)
    with pytest.raises(UsageError, match=f"this training was begun with {sentence}"):
        CASES["ema"].train(tmp_path, resume=True, **change)
    assert logged(tmp_path) == before


def test_options_that_do_not_change_the_numbers_may_differ(tmp_path):
    with pytest.raises(Killed):
        CASES["ema"].train(tmp_path, die_at=7)
    _, outcome = CASES["ema"].train(
        tmp_path, resume=True, minutes=9.0, save_every=5, keep_checkpoints=3, workers=1
    )
    assert outcome.stopped == "finished"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def test_other_data_are_refused(tmp_path):
    CASES["ema"].train(tmp_path)
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    found = load_checkpoint(checkpoint)
    assert found.state["about"]["data"] == "a1"
    other = {**found.state, "about": {**found.state["about"], "data": "b2"}}
    save_checkpoint(checkpoint.parent, 18, replace(found, state=other))
    with pytest.raises(UsageError, match="this training was begun with data = b2, and cannot go on with a1"):
        CASES["ema"].train(tmp_path, resume=True)


def changed(state, **changes):
    return {**state, "training": {**state["training"], **changes}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: changed(s, step=-1), "step is '-1', which a state of training cannot hold"),
        (lambda s: changed(s, step=True), "step is 'True'"),
        (lambda s: changed(s, total="much"), "total is 'much'"),
        (lambda s: changed(s, history=[{"epoch": "1"}]), "history is"),
        (lambda s: changed(s, best=[1.0]), "best is"),
        (lambda s: changed(s, lengths={"steps.jsonl": -3}), "lengths is"),
        (lambda s: changed(s, lengths={"steps.jsonl": 10**9}), "has .* bytes; the checkpoint was taken when"),
        (lambda s: changed(s, epoch=1, batch=99), "batch is 99, and an epoch has 6 batches"),
        (lambda s: changed(s, more=1), "'more' is unknown in the state"),
        (lambda s: {**s, "training": []}, "the state of the training is not an object"),
        (lambda s: {**s, "about": 3}, "does not say what the training was begun with"),
        (lambda s: {k: v for k, v in s.items() if k != "optimizer"}, "optimizer is missing in the state"),
        (lambda s: {**s, "averaged": "x"}, "the averaged weights are not those of this training"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(tmp_path, change, sentence):
    with pytest.raises(Killed):
        CASES["ema"].train(tmp_path, die_at=9)
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    found = load_checkpoint(checkpoint)
    shutil.rmtree(tmp_path / "checkpoints")
    save_checkpoint(checkpoint.parent, 8, replace(found, state=change(found.state)))
    with pytest.raises(RunError, match=sentence):
        CASES["ema"].train(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("group", "change", "sentence"),
    [
        ("random", lambda t: {}, "holds no random state that this version of PyTorch can use on cpu"),
        ("random", lambda t: {"0.0": torch.zeros(3)}, "holds no random state"),
        ("random", lambda t: {"0.0": t["0.0"] * 0 + 7}, "the random state cannot be used"),
        ("model", lambda t: {**t, "0.weight": torch.zeros(2, 2)}, r"'0.weight' is float32 \[2, 2\]"),
        ("best", lambda t: {"x": torch.zeros(1)}, "tensor '0.bias' is missing"),
        ("average", lambda t: {**t, "0.bias": torch.zeros(9)}, r"'0.bias' is float32 \[9\]"),
        (
            "optimizer",
            lambda t: {**t, "state.0.exp_avg": torch.zeros(9)},
            r"state.0.exp_avg is float32 \[9\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, group, change, sentence):
    with pytest.raises(Killed):
        CASES["ema"].train(tmp_path, die_at=9)
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    found = load_checkpoint(checkpoint)
    tensors = {**found.tensors, group: change(found.tensors[group])}
    save_checkpoint(checkpoint.parent, 8, replace(found, tensors=tensors))
    with pytest.raises(RunError, match=sentence):
        CASES["ema"].train(tmp_path, resume=True)


def test_a_full_disk_ends_the_training_and_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    killed = tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    model, _ = CASES["ema"].train(whole)
    calls = []

    def full(folder, step, checkpoint, *, keep):
        calls.append(step)
        if step > 6:
            with monkeypatch.context() as patch:
                patch.setattr("gatewise.training.checkpoint.os.fsync", no_space)
                return save_checkpoint(folder, step, checkpoint, keep=keep)
        return save_checkpoint(folder, step, checkpoint, keep=keep)

    def no_space(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resuming, "save_checkpoint", full)
    with pytest.raises(
        RunError, match=r"step-00000008: the checkpoint cannot be written \(No space left on device\)"
    ):
        CASES["ema"].train(killed)
    assert calls == [0, 2, 4, 6, 8]
    assert [path.name for path in (killed / "checkpoints").iterdir()] == ["step-00000006"]
    monkeypatch.undo()
    other, _ = CASES["ema"].train(killed, resume=True)
    assert logged(killed) == logged(whole)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_a_full_disk_while_logging_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "steps.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"steps\.jsonl: cannot be written"):
        CASES["ema"].train(tmp_path)
