"""Fails with a sentence where a package of this group put another torch in the place of the pinned one."""

import sys
from importlib.metadata import version
from pathlib import Path

PINS = Path(__file__).parent.parent.parent / "constraints.txt"


def main() -> None:
    pinned = next(line for line in PINS.read_text().splitlines() if line.startswith("torch==")).partition(
        "=="
    )[2]
    found = version("torch").partition("+")[0]
    if found != pinned:
        sys.exit(f"torch {found} is installed; a package of this group replaced the pinned {pinned}")


main()
