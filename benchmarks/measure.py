"""Paired measurement in one process: two runs take turns, and the ratio of their medians is what counts."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

Run = Callable[[], object]
Times = NDArray[np.float64]
"""Seconds of two runs, a row a pair: [pairs, 2]."""

DRAWS = 2000


@dataclass(frozen=True)
class Ratio:
    """How many times as long `ours` takes as `peer`, from interleaved pairs.

    Attributes:
        peer_ms, ours_ms: medians in milliseconds.
        ratio: ours_ms / peer_ms.
        low, high: bootstrap 95 % interval of that ratio of medians.
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


def in_turns(first: Run, second: Run, pairs: int) -> Times:
    """Seconds of `pairs` calls of each, taken in turns, in alternating order."""
    times = np.empty((pairs, 2))
    for k in range(pairs):
        order = ((0, first), (1, second)) if k % 2 == 0 else ((1, second), (0, first))
        for column, run in order:
            times[k, column] = _seconds(run)
    return times


def in_turns_for(seconds: float, first: Run, second: Run, least: int = 9, most: int = 300) -> Times:
    """`in_turns` with as many pairs as fit into this time, after a warm-up; at least `least`, at most `most`."""
    in_turns(first, second, 2)
    pair = float(in_turns(first, second, 1).sum())
    return in_turns(first, second, int(min(max(seconds / pair, least), most)))


def resampled_medians(times: Times, random: np.random.Generator, draws: int = DRAWS) -> Times:
    """Medians of both columns in bootstrap samples of the pairs; [draws, 2]."""
    return np.median(times[random.integers(len(times), size=(draws, len(times)))], axis=1)


def paired(peer: Run, ours: Run, *, pairs: int = 30, warm_up: int = 3) -> Ratio:
    """Time `peer` and `ours` in turns and compare their medians."""
    in_turns(peer, ours, warm_up)
    times = in_turns(peer, ours, pairs)
    drawn = resampled_medians(times, np.random.default_rng(0))
    low, high = np.percentile(drawn[:, 1] / drawn[:, 0], (2.5, 97.5))
    peer_ms, ours_ms = (float(ms) for ms in np.median(times, axis=0) * 1e3)
    return Ratio(peer_ms, ours_ms, ours_ms / peer_ms, float(low), float(high), pairs)


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
