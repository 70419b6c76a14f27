"""`python -m benchmarks.story [NAME ...]`: run the experiments, and write their figures and tables.

Each experiment runs with one thread and leaves NAME.json (a row a measurement, machine, seconds) and NAME.md (the
tables of docs/what-is-said.md) in the folder. `--tables` writes the tables again from figures that are there.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.measure import machine
from benchmarks.story import distance, gates, highway, reber, recall, speed

EXPERIMENTS = {
    "recall": recall,
    "distance": distance,
    "reber": reber,
    "gates": gates,
    "highway": highway,
    "speed": speed,
}


def measure(name: str, file: Path) -> None:
    """Run one experiment; the file is written again after each row, so that a long run can be looked at."""
    begun, rows = time.monotonic(), []
    for row in EXPERIMENTS[name].measure():
        print(row, flush=True)
        rows.append(row)
        record = {"machine": machine(), "seconds": time.monotonic() - begun, "rows": rows}
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}; all without a name"
    )
    parser.add_argument("--out", type=Path, default=Path("build/story"), metavar="FOLDER")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(EXPERIMENTS):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or EXPERIMENTS:
        file = options.out / f"{name}.json"
        if not options.tables:
            measure(name, file)
        text = EXPERIMENTS[name].tables(json.loads(file.read_text(encoding="utf-8"))["rows"])
        file.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
        print(f"{name}\n\n{text}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
