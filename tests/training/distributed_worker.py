"""What each process of test_distributed_torchrun.py does: torchrun starts `python distributed_worker.py JOB FOLDER`.

Its results are JSON in FOLDER; the test compares them with one process, with figures written out, or with each other.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy

from gatewise.training.distributed import Processes
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

SAMPLES, BATCH, CLASSES = 101, 7, 3


class Ragged:
    """101 sequences of 1 to 9 steps of 4 features, in float64, each with a class and the weight of its class."""

    def __init__(self) -> None:
        made = torch.Generator().manual_seed(11)
        lengths = torch.randint(1, 10, (SAMPLES,), generator=made).tolist()
        self.inputs = [torch.randn(n, 4, generator=made, dtype=torch.float64) for n in lengths]
        self.targets = torch.randint(0, CLASSES, (SAMPLES,), generator=made)
        self.weights = torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64)

    def batches(self, epoch: int) -> list[list[int]]:
        """Of 7 examples; the last has 101 - 14 · 7 = 3."""
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch)).tolist()
        return [order[at : at + BATCH] for at in range(0, SAMPLES, BATCH)]

    def loss(self, model: nn.Module, batch: list[int]) -> Sum:
        logits = model([self.inputs[i] for i in batch])
        targets = self.targets[batch]
        total = cross_entropy(logits, targets, self.weights, reduction="sum")
        return Sum(total, self.weights[targets].sum().item())


class Network(nn.Module):
    """torch.nn's LSTM over packed sequences, dropout, and a linear layer: nothing of ours but the loop."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        torch.manual_seed(5)
        self.lstm = nn.LSTM(4, 6, dtype=torch.float64)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(6, CLASSES, dtype=torch.float64)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        packed = nn.utils.rnn.pack_sequence(inputs, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.out(self.dropout(h[-1]))


def trained(
    processes: Processes,
    folder: Path | None,
    *,
    dropout: float = 0.0,
    accumulate: int = 1,
    epochs: int = 4,
    **job,
):
    """Losses of the steps and the weights after a training of 15 batches an epoch."""
    data, losses = Ragged(), []
    options = LoopOptions(epochs=epochs, learning_rate=0.01, warmup=0, clip=0.5, accumulate=accumulate)
    network = Network(dropout)
    callbacks = [lambda moment: losses.append(moment.tick.step_loss), *job.pop("callbacks", ())]
    fit(
        network,
        data.batches,
        data.loss,
        options,
        callbacks=callbacks,
        folder=folder,
        processes=processes,
        **job,
    )
    return losses, {name: value.tolist() for name, value in network.state_dict().items()}


def evaluated(processes: Processes):
    """Which examples each process evaluated, and what all of them know afterwards."""
    own = processes.shard(range(SAMPLES))
    logits = torch.tensor([[i, 0.5 * i] for i in own], dtype=torch.float64)
    whole = processes.whole(logits)
    return {"own": list(own), "whole": whole.tolist(), "count": processes.sum(len(own))}


def told(processes: Processes):
    """Sums, rows and decisions, of values that depend on the rank."""
    rank = processes.rank
    tensor = torch.tensor([0.1, 1e16]) if rank else torch.tensor([0.2, 1.0])
    rows = [torch.full((rank + 1, 2), float(rank)), torch.tensor(7, dtype=torch.int64)]
    return {
        "number": processes.sum(0.1 * (rank + 1)),
        "whole numbers": processes.sum([2**52, rank]),
        "named": processes.sum({"a": 1.5, "b": rank}),
        "tensor": processes.sum(tensor).tolist(),
        "tensor dtype": str(processes.sum(tensor).dtype),
        "rows": processes.gather([{"rank": rank, "text": "ü" * 1000 * rank}] * rank),
        "tensors": [(str(row.dtype), row.tolist()) for row in processes.gather(rows)],
        "none": processes.gather([]),
        "first": processes.first(["decided by", rank]),
        "is first": processes.is_first,
    }


def single_examples(processes: Processes):
    """Batches of one example: in each step a process has nothing to do."""
    data, seen = Ragged(), []

    def loss(model: nn.Module, batch: list[int]) -> Sum:
        seen.extend(batch)
        return data.loss(model, batch)

    network = Network()
    options = LoopOptions(epochs=2, learning_rate=0.01)
    fit(network, lambda epoch: [[5], [8, 9], [7]], loss, options, processes=processes)
    return {"seen": seen, "weights": {name: value.tolist() for name, value in network.state_dict().items()}}


def everything(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    with Processes.current() as processes:
        found["backend"] = distributed.get_backend()
        found["world"], found["local rank"] = processes.world, processes.local_rank
        found["told"], found["evaluated"] = told(processes), evaluated(processes)
        found["single"] = single_examples(processes)
        found["plain"] = trained(processes, None)
        found["accumulated"] = trained(processes, None, accumulate=2)
        found["dropout"] = trained(processes, None, dropout=0.5)
    found["left"] = not distributed.is_initialized()
    found["joined"] = joined(folder)
    return found


def joined(folder: Path) -> dict[str, object]:
    """A group that somebody else has made, as Ray Train does, is used and left as it was."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del os.environ[name]
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    with Processes.current() as processes:
        found: dict[str, object] = {"world": processes.world, "rank": processes.rank}
        found["plain"] = trained(processes, None)
    found["still there"] = distributed.is_initialized()
    distributed.destroy_process_group()
    return found


def disturbed(folder: Path) -> object:
    """The training with dropout; the second process is killed once, in the middle of an epoch."""
    restarted = os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"

    def kill(moment) -> None:
        if processes.rank == 1 and moment.tick.step == 37 and not restarted:
            os.kill(os.getpid(), signal.SIGKILL)

    training = folder / "training"
    training.mkdir(exist_ok=True)
    with Processes.current() as processes:
        found = trained(processes, training, dropout=0.5, resume=restarted, callbacks=[kill])
    return {"restarted": restarted, "trained": found}


def short(folder: Path) -> object:
    with Processes.current() as processes:
        found = trained(processes, None, epochs=1)
        return {"world": processes.world, "local rank": processes.local_rank, "trained": found}


def main(job: str, folder: Path) -> None:
    torch.set_num_threads(1)
    name = f"{job}.{os.environ['RANK']}.json"
    found = {"everything": everything, "disturbed": disturbed, "short": short}[job](folder)
    (folder / name).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
