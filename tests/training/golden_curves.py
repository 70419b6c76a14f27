"""The loss curves that are committed in `golden/`, and how they are made.

`python tests/training/golden_curves.py NAME…` writes those of the named recipes anew: after a change that is meant to
change results, never to make a test pass.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import torch
from golden_recipes import RECIPES

FOLDER = Path(__file__).parent / "golden"
STEPS = 20


def curve(name: str) -> dict[str, list[float]]:
    """Every number of a recipe's curve by its name: the loss of each step, and the figures of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        fitted = RECIPES[name](Path(folder) / "run")
        lines = (Path(folder) / "run" / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    found = {"loss of each step": [json.loads(line)["loss"] for line in lines]}
    figures = [key for key in fitted.history[0] if key == "loss" or key.startswith("validation_")]
    for key in figures:
        found[f"{key} of each epoch"] = [row[key] for row in fitted.history]
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+", choices=RECIPES)
    for name in parser.parse_args().names:
        record = {
            "how": f"python tests/training/golden_curves.py {name}, one thread; numbers as float.hex gives them",
            "torch": torch.__version__,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "python": platform.python_version(),
            "curve": {what: [value.hex() for value in values] for what, values in curve(name).items()},
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
