"""Paired measurement in one process: two runs take turns, and the ratio of each pair is what counts."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

Run = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """How many times as long `ours` takes as `peer`, from interleaved pairs.

    Attributes:
        peer_ms, ours_ms: medians in milliseconds.
        ratio: median of ours / peer over the pairs.
        low, high: bootstrap 95 % interval of that median.
        pairs: how many pairs ran.
    """

    peer_ms: float
    ours_ms: float
    ratio: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.peer_ms:8.2f} ms {self.ours_ms:8.2f} ms   {self.ratio:5.2f} [{self.low:.2f}, {self.high:.2f}]"


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def paired(peer: Run, ours: Run, *, pairs: int = 30, warm_up: int = 3) -> Ratio:
    """Time `peer` and `ours` in turns, in alternating order, and compare pair by pair."""
    for _ in range(warm_up):
        peer()
        ours()
    times = np.empty((pairs, 2))
    for k in range(pairs):
        order = ((0, peer), (1, ours)) if k % 2 == 0 else ((1, ours), (0, peer))
        for column, run in order:
            times[k, column] = _seconds(run)
    ratios = times[:, 1] / times[:, 0]
    draws = np.random.default_rng(0).choice(ratios, (2000, pairs))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    peer_ms, ours_ms = np.median(times, axis=0) * 1e3
    return Ratio(float(peer_ms), float(ours_ms), float(np.median(ratios)), float(low), float(high), pairs)


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
