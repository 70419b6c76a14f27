"""Measure the kernels: `python -m benchmarks.kernels [--threads 1] [--only dense,ragged]`.

Each row is checked first, then timed in interleaved pairs, printed, and written into benchmarks/results; rows of
earlier runs stay there. Numbers of threads take a process each. `python -m benchmarks.kernels.table` puts the table
into README.md.
"""

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.kernels import bf16, cells, dense, epoch, loops, ragged, recorded, step, variants
from benchmarks.kernels.peak import peak
from benchmarks.kernels.results import FOLDER, Results
from benchmarks.kernels.settings import IMDB, Settings
from benchmarks.measure import machine

GROUPS = {
    "dense": dense.measure,
    "ragged": ragged.measure,
    "cells": cells.measure,
    "variants": variants.measure,
    "recorded": recorded.measure,
    "bf16": bf16.measure,
    "step": step.measure,
    "epoch": epoch.measure,
    "loops": loops.measure,
}


def _groups(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(GROUPS)):
        raise argparse.ArgumentTypeError(
            f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}"
        )
    return names


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"the share is {text}; it lies above 0 and at most at 1")
    return share


def main(arguments: list[str] | None = None) -> int:
    """1 if a bar is missed, else 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", type=_groups, default=[*GROUPS], help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="for the pairs of one shape")
    parser.add_argument("--imdb", type=Path, default=IMDB, help="training part of IMDB, JSON lines (epoch)")
    parser.add_argument(
        "--share", type=_share, default=Settings.share, help="of the epoch's batches that run"
    )
    parser.add_argument("--compiled", action="store_true", help="also the compiled loop; takes a minute")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = Settings(options.seconds, options.imdb, options.share, options.compiled)
    results = Results(options.results, machine(), peak())
    print("  ".join(f"{name}: {value}" for name, value in machine().items()))
    print(f"matrix products reach {peak():.0f} GFLOP/s; peer / ours (or work / plain), 95 % interval")
    missed = 0
    for name in options.only:
        for row in GROUPS[name](settings):
            print(row, flush=True)
            results.put(row)
            missed += row.met is False
    print(f"{missed} bars missed" if missed else "no bar missed", f"({results.file})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
