"""What a training says: bar, lines, or nothing."""

import io

import pytest
from rich.console import Console

from gatewise.errors import UsageError
from gatewise.training.progress import Bar, Lines, Silent, Tick, duration, reporter, speed

TICK = Tick(
    step=40, steps=100, epoch=1, epochs=2, loss=0.51234, seconds=20.0, step_loss=0.5, learning_rate=0.1
)


def test_speed_and_time_left():
    assert TICK.steps_per_second == 2.0
    assert TICK.seconds_left == 30.0
    assert speed(TICK) == "loss 0.5123  2.0 steps/s  0:30 left"
    assert [duration(s) for s in (0, 59.6, 3599, 3600, 7384)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "2:03:04",
    ]


def test_lines_come_now_and_then_and_at_each_epoch():
    lines, now = [], [0.0]
    report = Lines(lines.append, every=15, clock=lambda: now[0])
    for now[0] in (1.0, 14.0, 16.0, 17.0, 40.0):
        report.step(TICK)
    report.epoch({"epoch": 1, "loss": 0.5, "validation_accuracy": 0.75, "learning_rate": 0.1, "seconds": 61})
    assert len(lines) == 3
    assert lines[0] == "step 40/100  epoch 1/2  loss 0.5123  2.0 steps/s  0:30 left"
    assert lines[2] == "epoch 1  loss 0.5000  validation_accuracy 0.7500  1:01"


def test_the_bar_shows_the_same_figures():
    stream = io.StringIO()
    report = Bar(Console(file=stream, force_terminal=True, width=100))
    report.step(TICK)
    report.note("[red] is no markup here")
    report.close()
    assert "loss 0.5123  2.0 steps/s  0:30 left" in stream.getvalue()
    assert "[red] is no markup here" in stream.getvalue()


def test_the_kind_follows_the_terminal():
    assert isinstance(reporter("auto", Console(file=io.StringIO(), force_terminal=True)), Bar)
    assert isinstance(reporter("auto", Console(file=io.StringIO())), Lines)
    assert isinstance(reporter("silent"), Silent) and isinstance(reporter(None), Silent)
    mine = Silent()
    assert reporter(mine) is mine
    with pytest.raises(UsageError, match="progress is 'loud'; it must be auto, bar, lines or silent"):
        reporter("loud")
