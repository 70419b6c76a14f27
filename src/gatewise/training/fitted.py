"""A trained model and its run folder: written whole or not at all, and read with every fault named."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from gatewise.errors import RunError, UsageError
from gatewise.training import run as runs
from gatewise.training.config import dump_config, make_config
from gatewise.training.recipe_config import C

N = TypeVar("N", bound=nn.Module)


class Fitted(ABC, Generic[C, N]):
    """What every recipe's trained model has.

    Attributes:
        metrics: what `metrics.json` holds: figures, data, split, versions, notes.
        history: a row a validation.
    """

    task: ClassVar[str]
    config: C
    network: N
    metrics: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know: what was left out, cut, unknown or interrupted."""
        return self.metrics.get("notes", [])

    @abstractmethod
    def card(self) -> str:
        """The model card, in Markdown."""

    @abstractmethod
    def write_parts(self, folder: Path) -> None:
        """Write what the run has besides options, weights, metrics and card."""

    def said(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        return self.metrics

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a run folder, whole or not at all.

        Raises:
            RunError: there is something at `folder`, and `overwrite` is not set.
        """
        with runs.new_run(folder, overwrite=overwrite) as partial:
            (partial / runs.LOG).write_text("".join(json.dumps(row) + "\n" for row in self.history), "utf-8")
            self.write_files(partial)

    def write_files(self, folder: Path) -> None:
        """Write everything but the log of the validations into an existing folder."""
        dump_config(self.config, folder / runs.CONFIG, task=self.task)
        runs.save_weights(self.network, folder / runs.WEIGHTS)
        self.write_parts(folder)
        runs.write_json(folder / runs.METRICS, self.said())
        (folder / runs.CARD).write_text(self.card(), encoding="utf-8")

    def note_test(self, folder: Path, figures: dict[str, Any]) -> None:
        """Note the figures of a test in the metrics and the card of the run folder that this was loaded from."""
        self.metrics |= {"test": figures}
        runs.note_figures(folder, self.said(), self.card())


def open_run(folder: str | Path, task: str, kind: type[C]) -> tuple[runs.Run, C]:
    """A run folder and its options.

    Raises:
        RunError: no run folder, another task, a newer format, or options that are not of this kind.
    """
    run = runs.read_run(folder)
    path = run.folder / runs.CONFIG
    if run.task != task:
        raise RunError(f"{path}: the task is {run.task!r}; {task!r} is needed")
    try:
        return run, make_config(kind, run.values, str(path))
    except UsageError as error:
        raise RunError(str(error)) from None


def network_of(run: runs.Run, weights: Mapping[str, Tensor], make: Callable[[], N]) -> N:
    """A network with the run's weights, on the CPU and in evaluation mode.

    It is made without memory, for the configuration may ask for any size, and gets some when the weights are found to
    be of that size.

    Raises:
        RunError: weights of other names, shapes or kinds of number, or numbers that are not finite.
    """
    path = run.path(runs.WEIGHTS)
    with torch.device("meta"):
        network = make()
    runs.check_fit(network, weights, path)
    runs.check_finite(weights, path)
    network.to_empty(device="cpu").load_state_dict(dict(weights))
    return network.train(False)
