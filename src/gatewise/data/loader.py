"""Batches prepared by processes beside the training, in their order and the same for any number of them."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from gatewise.errors import UsageError

Prepare = Callable[[Any], Any]


class Loader:
    """Calls `prepare` on each batch's description, in this process or in `workers` others.

    The workers are forked at the first call and stay. `prepare` must be a pure function that draws no random numbers;
    then what comes out does not depend on `workers`.

    Args:
        prepare: from a batch's description (say, the indices of its examples) to what the loss takes; tensors on the
            CPU where there are workers.
        workers: processes, at least 0.

    Raises:
        UsageError: workers are asked for where processes cannot be forked.
    """

    def __init__(self, prepare: Prepare, workers: int = 0):
        self.prepare = prepare
        self.order = _Order()
        self.loader: DataLoader[Any] | None = None
        if workers:
            if "fork" not in multiprocessing.get_all_start_methods():
                raise UsageError(
                    f"workers is {workers}; on this system it must be 0, for it cannot fork processes"
                )
            with warnings.catch_warnings():  # torch counts the processors, and the user has chosen
                warnings.simplefilter("ignore")
                self.loader = DataLoader(
                    _Prepared(prepare),
                    batch_size=None,
                    sampler=self.order,
                    num_workers=workers,
                    collate_fn=_as_it_is,
                    generator=torch.Generator(),  # its seeds for workers are not drawn from the training's numbers
                    multiprocessing_context="fork",
                    persistent_workers=True,
                )

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Each batch prepared; one call's batches are to be taken, or given up, before the next call."""
        if self.loader is None:
            return map(self.prepare, batches)
        self.order.batches = batches
        with (
            warnings.catch_warnings()
        ):  # Python warns of forking beside torch's threads, which workers do not use
            warnings.simplefilter("ignore")
            return iter(self.loader)

    def close(self) -> None:
        """End the workers; batches that were not taken are gone."""
        self.loader = None


class _Order:
    """The sampler: yields the descriptions themselves."""

    batches: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class _Prepared(Dataset[Any]):
    def __init__(self, prepare: Prepare):
        self.prepare = prepare

    def __getitem__(self, batch: Any) -> Any:
        return self.prepare(batch)


def _as_it_is(value: Any) -> Any:
    return value
