"""A classifier's gradients through time while it is trained: `gw.memory.GradientWatch` on some of its own examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from gatewise.memory import GradientWatch
from gatewise.tasks.classify.encode import Arrays, Encoder
from gatewise.training.callbacks import Callback
from gatewise.training.distributed import Processes
from gatewise.training.logs import CallbackLog
from gatewise.training.progress import Reporter

WATCHED = 16
"""Examples on which gradients are measured: the first ones."""
FILE = "gradients.jsonl"


@contextmanager
def watched_gradients(
    every: int,
    encoder: Encoder,
    arrays: Arrays,
    targets: NDArray[np.int64],
    processes: Processes,
    report: Reporter,
    folder: Path | None,
) -> Iterator[list[Callback]]:
    """The callback that measures every so many steps, or none (0); what it finds goes to `report` and into a log.

    It is the first process that measures. The others have a callback as well, for after a step all have their say.

    Args:
        arrays, targets: of validation or training examples, the same at each measurement.
        folder: of the run, for `gradients.jsonl`, or None.
    """
    if not every:
        yield []
        return
    if not processes.is_first:
        yield [lambda moment: None]
        return
    device = processes.device
    inputs = tuple(part.to(device) for part in encoder.collate(arrays[:WATCHED]))
    wanted = torch.from_numpy(targets[:WATCHED]).to(device)
    log = None if folder is None else CallbackLog(folder / FILE)

    def loss(logits: Tensor) -> Tensor:
        return cross_entropy(logits, wanted)

    def note_down(step: int, figures: Mapping[str, float]) -> None:
        report.figures(step, figures)
        if log is not None:
            log.write(step, figures)

    try:
        yield [GradientWatch(inputs, loss, every, say=report.note, log=note_down)]
    finally:
        if log is not None:
            log.close()
