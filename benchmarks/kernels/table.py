"""The README's table of the kernels, from benchmarks/results: `python -m benchmarks.kernels.table`."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.kernels.figures import Figure
from benchmarks.kernels.plan import Bar, bars
from benchmarks.kernels.results import FOLDER, read

README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- kernels:start -->", "<!-- kernels:end -->"

_INTRO = """\
**Kernels** (`python -m benchmarks.kernels`, and `--threads 2`; `python -m benchmarks.kernels.table` writes this part):
time of the peer / time of gatewise, so more is faster; a row with a / is the time of the one over the time of the
other, so less is better. Geometric means over the shapes of [shapes.toml](benchmarks/kernels/shapes.toml) [95 %
interval], from interleaved pairs in one process; outputs and gradients are compared first. float32 unless said."""

Content = dict[str, Any]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|---|" + "---:|" * (len(cells) - 1)]


def _threads(content: Content) -> str:
    threads = content["machine"]["threads"]
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _figure(entries: dict[str, Any]) -> str:
    return str(Figure(entries["value"], entries["low"], entries["high"]))


def _cell(row: dict[str, Any] | None) -> str:
    """What came out, and what it is worth."""
    if row is None:
        return "not measured"
    if row["figure"] is None:
        return "not measured" if row["met"] is None else "**wrong**"
    where = f" at {row['notes']['shape']}" if "shape" in row["notes"] else ""
    verdict = " **missed**" if row["met"] is False else " (aim)" if row["aim_met"] else ""
    return _figure(row["figure"]) + where + verdict


def _bound(bar: Bar) -> str:
    if bar.bound is None:
        return ""
    return f"≥ {bar.bound:g}" if bar.at_most is None else f"≤ {bar.bound:g}"


def _all_rows(contents: list[Content]) -> list[str]:
    lines = _head(["", "bar", "aim", *map(_threads, contents)])
    for name, bar in bars().items():
        found = [content["rows"].get(name) for content in contents]
        if bar.bound is None and not any(row and row["figure"] for row in found):
            continue
        aim = "" if bar.aim is None else f"{bar.aim:g}"
        lines.append(_line([bar.work, _bound(bar), aim, *map(_cell, found)]))
    return lines


def _reasons(contents: list[Content]) -> list[str]:
    """Why rows have no figure, each reason once."""
    found: dict[str, list[str]] = {}
    for content in contents:
        for name, row in content["rows"].items():
            if row["figure"] is None and bars()[name].bound is not None:
                names = found.setdefault(row["reason"], [])
                names += [] if name in names else [name]
    return [f"{', '.join(names)}: {reason}." for reason, names in found.items()]


def _by_shape(contents: list[Content]) -> list[str]:
    """The dense shapes: ratio, and the share of the machine's matrix products that ours (nn.LSTM) reaches."""
    columns: list[tuple[str, dict[str, str]]] = []
    for content in contents:
        for work in ("training", "inference"):
            rows = (content["rows"].get(f"dense-{work}-{size}") for size in ("small", "large"))
            cells = {
                one[
                    "name"
                ]: f"{_figure(one)}, {one['share_of_peak']['ours']:.0%} ({one['share_of_peak']['peer']:.0%})"
                for row in rows
                for one in (row or {"samples": []})["samples"]
            }
            columns.append((f"{work}, {_threads(content)}", cells))
    names = list(dict.fromkeys(name for _, cells in columns for name in cells))
    if not names:
        return []
    intro = "Dense LSTM by shape, and at what share of a large matrix product's speed ours (`nn.LSTM`) runs:"
    lines = [_line([name, *(cells.get(name, "") for _, cells in columns)]) for name in names]
    return ["", intro, "", *_head(["T, B, I, H", *(title for title, _ in columns)]), *lines]


def _processor(contents: list[Content]) -> list[str]:
    """One processor's table; `contents` are its numbers of threads."""
    about = contents[0]["machine"]
    peaks = ", ".join(f"{content['peak_gflops']:.0f} with {_threads(content)}" for content in contents)
    place = (
        f"{about['processor']}, {about['cores']} cores, {about['cpu_capability']}; torch {about['torch']}, Python "
        f"{about['python']}. A product 2048 × 2048 × 2048 runs at {peaks} (GFLOP/s):"
    )
    reasons = _reasons(contents)
    why = ["", "Not measured: " + " ".join(reasons)] if reasons else []
    return [place, "", *_all_rows(contents), *why, *_by_shape(contents)]


def table(contents: Iterable[Content]) -> str:
    """The Markdown of all results, sorted by processor and threads."""
    groups = groupby(contents, key=lambda content: content["machine"]["processor"])
    parts = ["\n".join(_processor(list(group))) for _, group in groups]
    return "\n\n".join([_INTRO, *(parts or ["No results yet."])])


def replaced(page: str, text: str) -> str:
    """`page` with `text` between the markers.

    Raises:
        ValueError: a marker is not there, or not once.
    """
    if page.count(START) != 1 or page.count(END) != 1:
        raise ValueError(f"the page must hold {START} and {END} once each")
    before, rest = page.split(START)
    return f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the results")
    parser.add_argument("--page", type=Path, default=README, help="page with the markers")
    options = parser.parse_args(arguments)
    page = replaced(options.page.read_text(encoding="utf-8"), table(read(options.results)))
    options.page.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
