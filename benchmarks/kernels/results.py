"""What was measured on one machine with one number of threads: a JSON file in benchmarks/results."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.kernels.plan import bars
from benchmarks.kernels.rows import Row

FOLDER = Path(__file__).parents[1] / "results"


def file_name(machine: dict[str, Any]) -> str:
    """ "<processor>-<threads>t.json", in small letters."""
    processor = re.sub(r"\((r|tm|c)\)", "", str(machine["processor"]).lower())
    return f"{re.sub(r'[^a-z0-9.]+', '-', processor).strip('-')}-{machine['threads']}t.json"


def _rounded(value: Any) -> Any:
    """Numbers with four decimals, all through."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


class Results:
    """The rows of one file.

    Args:
        machine: what `benchmarks.measure.machine` says. Rows that stand in the file already stay, unless they were
            measured with another processor or other versions.
        peak: GFLOP/s of the machine's float32 matrix products.
    """

    def __init__(self, folder: Path, machine: dict[str, Any], peak: float) -> None:
        self.file = folder / file_name(machine)
        self.content: dict[str, Any] = {"machine": machine, "peak_gflops": round(peak, 1), "rows": {}}
        if self.file.is_file():
            before = json.loads(self.file.read_text(encoding="utf-8"))
            if before["machine"] == machine:
                self.content["rows"] = before["rows"]

    def put(self, row: Row) -> None:
        """Take in a row, with its bar, and write the file; a row that cannot be measured replaces nothing."""
        rows = self.content["rows"]
        if row.figure is None and row.met is None and row.name in rows:
            return
        bar = bars()[row.name]
        entries = asdict(row) | {"at_least": bar.at_least, "at_most": bar.at_most, "aim": bar.aim}
        entries["figure"] = None if row.figure is None else row.figure._asdict()
        del entries["name"]
        rows[row.name] = _rounded(entries)
        self.content["rows"] = {name: rows[name] for name in bars() if name in rows}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """The contents of all files that `file_name` names, by processor and threads; other results lie beside them."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*-[0-9]*t.json")]
    yield from sorted(found, key=lambda one: (one["machine"]["processor"], one["machine"]["threads"]))
