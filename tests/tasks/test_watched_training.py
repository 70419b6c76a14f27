"""Trainings whose gradients are watched: the same weights, a log that a resumed training goes on with, what is said."""

import json

import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, reviews, waves

from gatewise.errors import RunError, UsageError
from gatewise.tasks.classify import recipe
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.training.logs import CallbackLog

SHORT = SMALL | {"epochs": 2, "dropout": 0.5, "word_dropout": 0.2, "validation": 0.2}


class Told:
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.notes, self.measured = [], []

    def step(self, tick): ...
    def epoch(self, row): ...
    def close(self): ...

    def note(self, text):
        self.notes.append(text)

    def figures(self, step, values):
        self.measured.append((step, dict(values)))


@pytest.mark.parametrize("cell", ["lstm", "rnn+gru"])
@pytest.mark.parametrize("numeric", [False, True])
def test_a_watched_training_has_the_same_weights_bit_for_bit(cell, numeric, tmp_path):
    config = ClassifyConfig(**SHORT, cell=cell, bidirectional=True, layer_dropout=0.3 if "+" in cell else 0.0)
    data = as_series(*waves()) if numeric else as_texts(*reviews())
    train = recipe.train_series if numeric else recipe.train_texts
    told = Told()
    plain = train(data, config, progress=None)
    watched = train(data, config, progress=told, out=tmp_path / "run", watch_gradients=4)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(watched.network.state_dict()[name], value), name
    assert [row["loss"] for row in watched.history] == [row["loss"] for row in plain.history]
    rows = [json.loads(line) for line in (tmp_path / "run" / "gradients.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == ([1, 4] if numeric else [1, 4, 8, 12])  # of 6 and of 12
    assert [(row.pop("step"), row) for row in rows] == told.measured
    names = {name.rpartition("/")[0] for name in rows[0]}
    layers = ["recurrent.0"] if cell == "lstm" else ["recurrent.layers.0.0", "recurrent.layers.1.0"]
    assert names == {layer + end for layer in layers for end in ("", ".reverse")}
    assert told.notes[0].startswith("gradients are measured every 4 steps: one vanishes where less than 1 %")
    assert sum(note.startswith("step 1: recurrent") for note in told.notes) == len(names)


def test_without_it_no_file_is_written_and_nothing_is_said(tmp_path):
    told = Told()
    recipe.train_texts(as_texts(*reviews()), ClassifyConfig(**SHORT), progress=told, out=tmp_path / "run")
    assert not (tmp_path / "run" / "gradients.jsonl").exists() and not told.measured


def test_a_number_of_steps_below_zero_is_refused():
    with pytest.raises(UsageError, match=r"^watch_gradients is -1; it is a number of steps, or 0 for none$"):
        recipe.train_texts(as_texts(*reviews()), ClassifyConfig(**SHORT), watch_gradients=-1)


def test_the_log_loses_what_a_killed_training_left_of_later_steps(tmp_path):
    file = tmp_path / "gradients.jsonl"
    log = CallbackLog(file)
    log.close()
    assert not file.exists()
    for step in (1, 4, 8, 12):
        log.write(step, {"0/left": step / 3})
    log.close()
    kept = file.read_bytes().splitlines(keepends=True)[:2]
    with file.open("ab") as stream:
        stream.write(b'{"step": 16, "0/le')  # cut off in the middle of a row
    again = CallbackLog(file)
    again.write(8, {"0/left": 0.5})
    again.close()
    assert file.read_bytes() == b"".join(kept) + b'{"step": 8, "0/left": 0.5}\n'


@pytest.mark.parametrize("text", ["no JSON\n", "[1]\n", "{}\n", '{"step": "one"}\n', "\xff\n"])
def test_a_log_that_is_none_is_refused(text, tmp_path):
    file = tmp_path / "gradients.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"gradients\.jsonl"):
        CallbackLog(file).write(8, {})
    assert file.read_bytes() == text.encode("latin-1")
