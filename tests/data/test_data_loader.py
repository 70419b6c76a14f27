"""Prepared batches: the same, in order, for any number of workers, and without a draw of the training's numbers."""

import os
import time

import pytest
import torch

from gatewise.data import loader as module
from gatewise.data.loader import Loader
from gatewise.errors import UsageError


def squared(batch):
    time.sleep(0.01 if batch[0] % 3 == 0 else 0)  # later ones are ready before earlier ones
    return torch.tensor(batch, dtype=torch.float64) ** 2, os.getpid(), {"n": len(batch)}


BATCHES = [[k, k + 1] for k in range(0, 14, 2)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_and_where_they_were_asked_to_be_made(workers):
    loader = Loader(squared, workers)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    seen = []
    for _ in range(2):  # two epochs, the same workers
        found = list(loader(BATCHES))
        assert [values.tolist() for values, *_ in found] == [[a * a, b * b] for a, b in BATCHES]
        assert all(rest == {"n": 2} for *_, rest in found)
        seen += [pid for _, pid, _ in found]
    assert torch.equal(torch.get_rng_state(), before)
    assert (os.getpid() in seen) == (workers == 0)
    assert len(set(seen)) == max(workers, 1)
    loader.close()


def test_given_up_batches_do_not_reach_the_next_epoch():
    loader = Loader(squared, 2)
    assert next(loader(BATCHES))[0].tolist() == [0, 1]
    assert [values.tolist() for values, *_ in loader([[7], [8]])] == [[49], [64]]
    loader.close()


def test_an_error_in_a_worker_arrives():
    def fails(batch):
        raise UsageError("X: example 3 is neither a text nor numbers")

    loader = Loader(fails, 1)
    with pytest.raises(UsageError, match="example 3"):
        next(loader(BATCHES))
    loader.close()


def test_a_system_that_cannot_fork_is_said(monkeypatch):
    monkeypatch.setattr(module.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(UsageError, match="workers is 2; on this system it must be 0"):
        Loader(squared, 2)
    assert len(list(Loader(squared, 0)(BATCHES))) == 7
