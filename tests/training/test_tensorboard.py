"""Curves for TensorBoard: where it is installed, what is written; where it is not, one sentence."""

import sys
import types

import pytest

from gatewise.errors import UsageError
from gatewise.training import tensorboard as module
from gatewise.training.progress import Several, Silent, Tick
from gatewise.training.tensorboard import TensorBoard

ROW = {"epoch": 1, "step": 8, "loss": 0.75, "validation_accuracy": 0.5, "learning_rate": 0.1, "seconds": 2.0}


def tick(step):
    return Tick(step, 20, 1, 2, loss=0.9, seconds=1.0, step_loss=1 / step, learning_rate=0.1)


def test_where_it_is_missing_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match="TensorBoard is asked for and not installed: pip install tensorboard"
    ):
        TensorBoard(tmp_path)


class Writer:
    """Stands for torch's, which cannot be imported without TensorBoard."""

    def __init__(self, folder, purge_step):
        self.said = [(folder, purge_step)]
        WRITERS.append(self.said)

    def add_scalar(self, name, value, step):
        self.said.append((name, value, step))

    def flush(self):
        self.said.append("flush")

    def close(self):
        self.said.append("close")


WRITERS = []


def test_steps_and_rows_become_scalars_from_the_first_step_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    report = Several(Silent(), TensorBoard(tmp_path))
    report.note("nothing is written yet")
    assert not WRITERS
    report.step(tick(8))
    report.epoch(ROW)
    report.figures(8, {"recurrent.0/reach": 12.0})
    report.close()
    (said,) = WRITERS
    assert said == [
        (str(tmp_path), 8),  # what an earlier process wrote from there on is dropped
        ("loss/step", 0.125, 8),
        ("learning_rate", 0.1, 8),
        ("loss", 0.75, 8),
        ("validation/accuracy", 0.5, 8),
        "flush",
        ("recurrent.0/reach", 12.0, 8),
        "close",
    ]


def test_event_files_can_be_read_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    report = TensorBoard(tmp_path)
    for step in (1, 2, 4):
        report.step(tick(step))
    report.epoch(ROW)
    report.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/step")] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("validation/accuracy")] == [(8, 0.5)]
