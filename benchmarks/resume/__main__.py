"""`python -m benchmarks.resume --kills 100`: SIGKILL at random moments; every training must go on bit for bit.

Each training is first run undisturbed. Then it is run again and again: killed at a moment drawn uniformly from its
duration (a third of the kills wait for a checkpoint that is just being written), and resumed with `--resume`, sometimes
killed once more, to its end. Its losses of every step (as the lines of steps.jsonl), the rows of metrics.jsonl and the
final weights must be those of the undisturbed training, byte for byte, and every checkpoint found after a kill must
load. The exit code is 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine
from benchmarks.resume.killing import Killed, kill, undisturbed
from benchmarks.resume.trainings import trainings, warm_up


def measure(kills: int, seed: int, folder: Path, names: list[str] | None = None) -> dict[str, Any]:
    """Kill `kills` times, the trainings in turn; `names` picks some of them."""
    warm_up(folder)
    draw, begun = random.Random(seed), time.monotonic()
    chosen = [one for one in trainings(folder) if names is None or one.name in names]
    wholes = {one.name: undisturbed(one, folder / f"whole-{n}") for n, one in enumerate(chosen)}
    done: list[Killed] = []
    while sum(len(one.moments) for one in done) < kills:
        training = chosen[len(done) % len(chosen)]
        done.append(kill(training, wholes[training.name], folder / "run", draw))
        print(done[-1], flush=True)
    steps = {name: whole.steps.count(b"\n") for name, whole in wholes.items()}
    lasted = {name: round(whole.seconds, 2) for name, whole in wholes.items()}
    return {
        "machine": machine(),
        "seed": seed,
        "seconds": round(time.monotonic() - begun),
        "trainings": {name: {"steps": steps[name], "seconds": lasted[name]} for name in wholes},
        **summary(done),
    }


def summary(done: list[Killed]) -> dict[str, Any]:
    moments = Counter(moment for one in done for moment in one.moments)
    return {
        "kills": sum(moments.values()),
        "moments": dict(sorted(moments.items())),
        "resumed": len(done),
        "equal": sum(not one.different for one in done),
        "different": [f"{one.training}: {', '.join(one.different)}" for one in done if one.different],
        "checkpoints": sum(one.checkpoints for one in done),
        "unreadable": [fault for one in done for fault in one.unreadable],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="one of the trainings; can be repeated"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the result as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.kills, options.seed, Path(folder), options.only)
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(bool(result["different"] or result["unreadable"]))


if __name__ == "__main__":
    sys.exit(main())
