"""What training with several processes costs: bytes and time of a step measured here, efficiency elsewhere predicted.

    python -m benchmarks.scaling [--json] [--steps N] [--step-ms MS] [--bandwidth GB/s] [--latency US]

Two processes under torchrun (gloo, this machine) measure, in turns: a step without averaging gradients, a step with it,
the average of as many bytes alone, and a message of a few bytes. The model, of which docs/scaling.md tells more:

    step(n) = compute + averaging(n) + latency
    averaging(n) = min(2 (n-1)/n · bytes / bandwidth + 2 (n-1) · latency,   a ring (Patarasuk and Yuan 2009)
                       2 · bytes / bandwidth + 2 ⌈log2 n⌉ · latency)        a tree

with no overlap of compute and averaging, and one small message a step. Its prediction for two processes stands beside
what was measured.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass

import torch
from torch import distributed, nn

from benchmarks.measure import machine
from gatewise import LSTM
from gatewise.training.distributed import Processes


@dataclass(frozen=True)
class Work:
    """A model and the batch of one process. `vocabulary` 0: numeric sequences."""

    name: str
    vocabulary: int
    inputs: int
    hidden: int
    steps: int
    batch: int


WORKS = (
    Work("texts, 30,000 words", 30_000, 128, 128, 100, 16),
    Work("series, 16 features", 0, 16, 256, 100, 16),
)


@dataclass(frozen=True)
class Link:
    """What joins processes: bytes a second of its slowest part, seconds until a message arrives."""

    name: str
    bandwidth: float
    latency: float


# Assumptions, not measurements: what remains of the nominal rates of such links in practice.
NVLINK = Link("8 GPUs of one machine, 150 GB/s and 10 µs assumed", 150e9, 10e-6)
NETWORK = Link("64 GPUs of 8 machines, 100 Gbit/s network, 10 GB/s and 30 µs assumed", 10e9, 30e-6)


@dataclass(frozen=True)
class Measured:
    """Of two processes on this machine; medians, in seconds.

    Args:
        bytes: of the gradients of all parameters.
        compute: a step of each process by itself, while the other one computes too.
        together: a step with averaged gradients.
        reduce: the average of as many bytes alone.
        message: an average of 8 bytes.
    """

    work: Work
    bytes: int
    compute: float
    together: float
    reduce: float
    message: float

    @property
    def link(self) -> Link:
        """Bandwidth and latency that explain `reduce` and `message` in a ring of two."""
        latency = self.message / 2
        return Link("this machine", self.bytes / max(self.reduce - self.message, 1e-9), latency)


def averaging(size: int, processes: int, link: Link) -> float:
    """Seconds in which `size` bytes are averaged, by a ring or a tree, whichever takes less."""
    n = processes
    ring = 2 * (n - 1) / n * size / link.bandwidth + 2 * (n - 1) * link.latency
    tree = 2 * size / link.bandwidth + 2 * math.ceil(math.log2(n)) * link.latency
    return min(ring, tree)


def step_seconds(compute: float, size: int, processes: int, link: Link) -> float:
    """Seconds of a step of `processes` processes, each with `compute` seconds of its own."""
    if processes == 1:
        return compute
    return compute + averaging(size, processes, link) + link.latency  # of the message with loss and count


def efficiency(compute: float, size: int, processes: int, link: Link) -> float:
    """Share of n times the examples a second of one process, when each keeps the size of its batch."""
    return compute / step_seconds(compute, size, processes, link)


class Reader(nn.Module):
    """Embedding (or none), LSTM, linear layer."""

    def __init__(self, work: Work):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(work.vocabulary, work.inputs) if work.vocabulary else None
        self.lstm = LSTM(work.inputs, work.hidden)
        self.out = nn.Linear(work.hidden, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.lstm(self.embedding(x) if self.embedding else x)
        return self.out(h[-1])


def batch(work: Work) -> torch.Tensor:
    if work.vocabulary:
        return torch.randint(work.vocabulary, (work.steps, work.batch))
    return torch.randn(work.steps, work.batch, work.inputs)


def measure(work: Work, processes: Processes, repeats: int) -> Measured:
    """In each of two processes; what takes turns is measured under the same load."""
    model = Reader(work)
    network, x = processes.wrap(model), batch(work)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    bucket, few = torch.zeros(size // 4), torch.zeros(2)

    def step(averaged: bool) -> None:
        optimizer.zero_grad()
        with nullcontext() if averaged else processes.apart(network):
            network(x).square().mean().backward()
        optimizer.step()

    runs: list[Callable[[], object]] = [
        lambda: step(False),
        lambda: step(True),
        lambda: distributed.all_reduce(bucket),
        lambda: distributed.all_reduce(few),
    ]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 2):
        for run, seconds in zip(runs, times, strict=True):
            distributed.barrier()
            start = time.perf_counter()
            run()
            if turn >= 2:  # the first ones also fetch memory
                seconds.append(time.perf_counter() - start)
    slowest = [
        max(pair) for pair in zip(*processes.parts([statistics.median(s) for s in times]), strict=True)
    ]
    return Measured(work, size, *slowest)


def worker(repeats: int) -> None:
    torch.set_num_threads(1)
    with Processes.current() as processes:
        found = [asdict(measure(work, processes, repeats)) for work in WORKS]
        if processes.is_first:
            print(json.dumps(found))


def launched(repeats: int) -> list[Measured]:
    """The figures of two processes that torchrun starts."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "benchmarks.scaling", "--worker", "--steps", str(repeats)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=600
    )
    rows = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    return [Measured(**row | {"work": Work(**row["work"])}) for row in rows]


def table(found: list[Measured], step: float, links: list[tuple[int, Link]]) -> str:
    """Markdown: what was measured, then what is predicted for steps of `step` seconds."""
    lines = ["| model | gradients | compute | step of two | predicted | averaging alone | a message |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for one in found:
        predicted = step_seconds(one.compute, one.bytes, 2, one.link)
        parts = (one.compute, one.together, predicted, one.reduce, one.message)
        milliseconds = " | ".join(f"{1000 * part:.2f} ms" for part in parts)
        lines.append(f"| {one.work.name} | {one.bytes / 1e6:.2f} MB | {milliseconds} |")
    lines += [
        "",
        f"| model, {1000 * step:g} ms of compute a step (assumed) | processes | averaging | efficiency |",
    ]
    lines += ["|---|---|---|---|"]
    for one in found:
        for processes, link in links:
            seconds = averaging(one.bytes, processes, link)
            share = efficiency(step, one.bytes, processes, link)
            lines.append(f"| {one.work.name} | {link.name} | {1000 * seconds:.2f} ms | {100 * share:.0f} % |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--json", action="store_true", help="print the measured figures as JSON")
    parser.add_argument("--steps", type=int, default=30, help="how often each thing is timed")
    parser.add_argument("--step-ms", type=float, default=10.0, help="compute of a step on your device")
    parser.add_argument("--bandwidth", type=float, help="GB/s of your slowest link")
    parser.add_argument("--latency", type=float, default=30.0, help="µs of a message on it")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker(options.steps)
        return 0
    links = [(8, NVLINK), (64, NETWORK)]
    if options.bandwidth:
        own = f"{options.bandwidth:g} GB/s and {options.latency:g} µs"
        links = [
            (n, Link(f"{n} processes, {own}", options.bandwidth * 1e9, options.latency * 1e-6))
            for n in (2, 8, 64)
        ]
    found = launched(options.steps)
    if options.json:
        print(json.dumps({"machine": machine(), "measured": [asdict(one) for one in found]}))
    else:
        print(f"{machine()}\n\n{table(found, options.step_ms / 1000, links)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
