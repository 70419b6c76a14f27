"""Sharding, and what the environment says about processes; with one process nothing is asked of torch.distributed."""

import socket

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, nn

from gatewise.errors import GatewiseError, UsageError
from gatewise.training.carried import Window
from gatewise.training.distributed import Processes, merge, shard


@given(size=st.integers(0, 200), world=st.integers(1, 40))
def test_the_parts_are_disjoint_complete_balanced_and_in_order(size, world):
    batch = [f"example {n}" for n in range(size)]
    before = list(batch)
    parts = [shard(batch, rank, world) for rank in range(world)]
    assert batch == before
    assert sorted(example for part in parts for example in part) == sorted(batch)  # each exactly once
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == sorted(part, key=batch.index) for part in parts)
    assert parts == [shard(batch, rank, world) for rank in range(world)]
    rows = [torch.tensor([[batch.index(example)] for example in part], dtype=torch.int64) for part in parts]
    assert merge([row.view(-1, 1) for row in rows]).flatten().tolist() == list(range(size))


@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=100), world=st.integers(1, 8))
def test_of_a_sorted_batch_each_process_gets_as_many_steps_up_to_one_sequence(lengths, world):
    work = [sum(shard(sorted(lengths), rank, world)) for rank in range(world)]
    assert max(work) - min(work) <= max(lengths)


def test_parts_by_hand():
    assert [shard(list("abcde"), rank, 2) for rank in (0, 1)] == [["a", "c", "e"], ["b", "d"]]
    assert [shard(["a"], rank, 3) for rank in (0, 1, 2)] == [["a"], [], []]
    assert merge([torch.tensor([0.0, 2.0, 4.0]), torch.tensor([1.0, 3.0])]).tolist() == [
        0.0,
        1.0,
        2.0,
        3.0,
        4.0,
    ]
    assert shard(range(10), 2, 4) == range(2, 10, 4)


def test_parts_that_are_of_no_batch_are_refused():
    with pytest.raises(GatewiseError, match=r"the parts of 2 processes have \[1, 2\] rows"):
        merge([torch.zeros(1), torch.zeros(2)])


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_out_of_range_is_refused(rank):
    with pytest.raises(UsageError, match=rf"rank is {rank}; it must be in \[0, 2\)"):
        shard([1], rank, 2)


def test_a_window_of_streams_divides_itself():
    inputs = torch.arange(10).view(2, 5)
    parts = [shard(Window(inputs, inputs + 1), rank, 2) for rank in (0, 1)]
    assert [part.inputs.tolist() for part in parts] == [[[0, 2, 4], [5, 7, 9]], [[1, 3], [6, 8]]]
    assert [part.targets.tolist() for part in parts] == [[[1, 3, 5], [6, 8, 10]], [[2, 4], [7, 9]]]


# The environment


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_calls_nothing_of_torch_distributed(monkeypatch):
    for name in ("all_gather", "all_gather_into_tensor", "init_process_group", "destroy_process_group"):
        monkeypatch.setattr(distributed, name, None)
    monkeypatch.setenv("MASTER_ADDR", "a cluster's, for others")
    model = nn.Linear(2, 2)
    with Processes.current("cpu") as processes:
        assert (processes.rank, processes.world, processes.is_first) == (0, 1, True)
        assert processes.wrap(model) is model
        assert processes.sum(0.1) == 0.1 and processes.sum({"a": 1}) == {"a": 1}
        assert processes.gather(["row"]) == ["row"] and processes.first("x") == "x"
        batch = [1, 2, 3]
        assert processes.shard(batch) is batch
        assert processes.idle(model).item() == 0
        with processes.apart(model):
            pass
        processes.barrier()


def test_torchrun_with_one_process_is_one_process(monkeypatch):
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Processes.current() as processes:
        assert processes.world == 1 and not distributed.is_initialized()


SET = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
HALF = {
    "RANK alone": ({"RANK": "0"}, "RANK is set and WORLD_SIZE is not; start with torchrun, or unset RANK"),
    "WORLD_SIZE alone": ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set and RANK is not; start with torchrun, or unset"),
    "no address": (SET | {"MASTER_ADDR": ""}, "RANK is set and MASTER_ADDR is not"),
    "no port": (SET | {"MASTER_PORT": ""}, "RANK is set and MASTER_PORT is not"),
    "a rank in words": (SET | {"RANK": "first"}, "RANK is 'first'; it must be a whole number from 0"),
    "a negative size": (SET | {"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2'; it must be a whole number from 0"),
    "a long number": (SET | {"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE is '9{80}'; it must be a whole"),
    "a rank beyond the size": (SET | {"RANK": "2"}, r"RANK is 2; with a WORLD_SIZE of 2 it must be in \[0, 2\)"),
    "none at all": (SET | {"WORLD_SIZE": "0"}, r"RANK is 0; with a WORLD_SIZE of 0"),
    "a port in words": (SET | {"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
    "a local rank in words": (SET | {"LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", HALF)
def test_a_half_set_environment_is_said(monkeypatch, fault):
    environment, said = HALF[fault]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=said), Processes.current():
        raise AssertionError


def test_a_pytorch_without_distributed_is_said(monkeypatch):
    for name, value in SET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "is_available", lambda: False)
    with (
        pytest.raises(UsageError, match="WORLD_SIZE is 2, and this PyTorch was built without"),
        Processes.current(),
    ):
        raise AssertionError


def test_more_processes_than_gpus_is_said(monkeypatch):
    for name, value in (SET | {"RANK": "1", "LOCAL_RANK": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="process 1 of this machine finds 1 GPUs"), Processes.current("cuda"):
        raise AssertionError


def test_others_that_cannot_be_reached_are_said(monkeypatch):
    """Nobody answers: the first process of a group that this second one asks for is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and deaf
        port = str(taken.getsockname()[1])
        for name, value in (SET | {"RANK": "0", "MASTER_PORT": port}).items():
            monkeypatch.setenv(name, value)
        said = rf"process 0 of 2 cannot join the others at 127\.0\.0\.1:{port} \(.*"
        with pytest.raises(GatewiseError, match=said) as caught, Processes.current():
            raise AssertionError
    assert "\n" not in str(caught.value)
    assert not distributed.is_initialized()
