"""Fuzzing of every reader: broken variants of good files, and files of anything.

`python tests/attacks/fuzz.py --cases 20000 --out benchmarks/results/fuzz.json` runs it by itself and notes the figures.
"""

import argparse
import gc
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from fuzz_checkpoints import CHECKPOINTS
from fuzz_contents import contents
from fuzz_data import DATA
from fuzz_downloads import DOWNLOADS
from fuzz_pictures import PICTURES
from fuzz_reader import Reader
from fuzz_runs import RUNS
from hypothesis import HealthCheck, given, settings

from gatewise.errors import GatewiseError

READERS = DATA | PICTURES | RUNS | CHECKPOINTS | DOWNLOADS
SLOW = 1.0
"""Seconds of processor time that no case may take."""
MEMORY = Path("/dev/shm")
"""Files are written there where it exists: a disk takes longer than the readers."""


@dataclass
class Figures:
    """What became of the cases of a reader. slowest: processor seconds of one case."""

    cases: int = 0
    read: int = 0
    refused: int = 0
    escaped: int = 0
    slowest: float = 0.0


def _used(reader: Reader, folder: Path, content: bytes) -> tuple[str | None, float]:
    """The sentence with which a content was refused, or None, and the processor seconds that it took."""
    sentence = None
    began = time.process_time()
    try:
        reader.use(folder, content)
    except GatewiseError as error:
        sentence = str(error)
        assert sentence and "\n" not in sentence
    return sentence, time.process_time() - began


def fuzz(name: str, cases: int) -> Figures:
    """Read `cases` broken files; the same ones every time.

    Raises:
        whatever escaped that is no GatewiseError, or AssertionError for a sentence on several lines, a case that took
        longer than a second, and an empty sentence; hypothesis prints the content.
    """
    reader, figures = READERS[name], Figures()
    seeds = reader.seeds()

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=contents(seeds, reader.tokens))
    def one(content: bytes) -> None:
        figures.cases += 1
        figures.escaped += 1  # taken back when it ends well
        sentence, taken = _used(reader, folder, content)
        if taken > SLOW:  # a collection of garbage may have fallen into it
            taken = min(taken, _used(reader, folder, content)[1])
        assert taken <= SLOW
        figures.read += sentence is None
        figures.refused += sentence is not None
        figures.slowest = max(figures.slowest, taken)
        figures.escaped -= 1

    folder = Path(tempfile.mkdtemp(prefix="gatewise-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        one()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _note(path: Path, cases: int, name: str, figures: dict[str, float]) -> None:
    """Put the figures of a reader beside those of the others, as far as they are of the same versions."""
    names = ("gatewise", "torch", "safetensors", "tokenizers", "hypothesis")
    versions = {"python": platform.python_version()} | {one: version(one) for one in names}
    head = {"cases_a_reader": cases, "versions": versions}
    before = json.loads(path.read_text()) if path.exists() else {}
    others = before["readers"] if {key: before.get(key) for key in head} == head else {}
    found = {one: (others | {name: figures})[one] for one in READERS if one in others or one == name}
    path.write_text(json.dumps(head | {"readers": found}, indent=2) + "\n")


def main(words: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fuzz every reader, and note the figures.")
    parser.add_argument("--cases", type=int, default=20_000, help="of each reader")
    parser.add_argument("--readers", nargs="*", default=list(READERS), choices=list(READERS))
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given_ = parser.parse_args(None if words is None else list(words))
    torch.set_num_threads(1)
    gc.freeze()  # what is imported stays, and need not be looked through again and again
    for name in given_.readers:
        began = time.process_time()
        figures = fuzz(name, given_.cases)
        told = {
            "cases": figures.cases,
            "read": figures.read,
            "refused": figures.refused,
            "escaped": figures.escaped,
            "slowest_case_s": round(figures.slowest, 4),
            "cpu_s": round(time.process_time() - began, 1),
        }
        print(f"{name}: {json.dumps(told)}", flush=True)
        if given_.out:
            _note(given_.out, given_.cases, name, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
