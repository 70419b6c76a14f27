"""A training's curves for TensorBoard, where that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gatewise.errors import UsageError
from gatewise.training.progress import Tick


class TensorBoard:
    """A reporter that writes event files: loss and learning rate of each step, and the figures of rows and callbacks.

    After a resume TensorBoard drops what an earlier process wrote of steps beyond the checkpoint.

    Args:
        folder: where the event files go; made with the first step.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path):
        if find_spec("tensorboard") is None:
            raise UsageError("TensorBoard is asked for and not installed: pip install tensorboard")
        self.folder = folder
        self.writer: Any = None

    def step(self, tick: Tick) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder), purge_step=tick.step)
        self.writer.add_scalar("loss/step", tick.step_loss, tick.step)
        self.writer.add_scalar("learning_rate", tick.learning_rate, tick.step)

    def epoch(self, row: Mapping[str, float]) -> None:
        if self.writer is not None:
            for name, value in row.items():
                if name == "loss" or name.startswith("validation_"):
                    self.writer.add_scalar(f"{name.replace('_', '/', 1)}", value, int(row["step"]))
            self.writer.flush()

    def note(self, text: str) -> None: ...

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
