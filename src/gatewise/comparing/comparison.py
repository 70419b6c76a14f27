"""The outcome of a comparison of runs, as one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewise.bootstrap import RESAMPLES
from gatewise.comparing.figures import Difference, Figure, differences
from gatewise.errors import DataError
from gatewise.markdown import markdown_table

FEWEST = 20
"""Examples: of fewer a bootstrap says too little."""


@dataclass(frozen=True)
class Compared:
    """One run.

    Attributes:
        run: its folder, as it was named.
        figures: of the same examples for all runs.
        options: what it was trained with.
        parameters, seconds: of its training; None where its notes do not say.
    """

    run: str
    figures: Sequence[Figure]
    options: Mapping[str, Any]
    parameters: int | None
    seconds: float | None


@dataclass(frozen=True)
class Comparison:
    """Runs on the same examples.

    Attributes:
        runs: the first is the one that the others are compared with.
        differences: of every run but the first, a figure each; see `gatewise.comparing.figures`.
        options: those that differ: name to the value of each run, None where it has no such option.
        examples, unit: how many, and of what: sentences, pictures, blocks of text.
        seed: of the bootstrap.
        data: what they were measured on.
        notes: what to know of the figures.
    """

    runs: Sequence[Compared]
    differences: Sequence[Sequence[Difference]]
    options: Mapping[str, Sequence[Any]]
    examples: int
    unit: str
    seed: int
    data: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=list)

    def to_markdown(self) -> str:
        """One table, a column a run, which reads well as plain text too, and what is to be said of it."""
        rows = [
            (TITLES.get(figure.name, figure.name), *self._cells(n))
            for n, figure in enumerate(self.runs[0].figures)
        ]
        rows.append(("parameters", *(_shown(run.parameters, ",") for run in self.runs)))
        rows.append(("seconds of training", *(_shown(run.seconds, ",.0f") for run in self.runs)))
        rows += [(name, *map(_option, values)) for name, values in self.options.items()]
        table = markdown_table(("", *(run.run for run in self.runs)), rows)
        said = [
            f"{self.examples:,} {self.unit}; in brackets 95 % intervals of the difference to {self.runs[0].run}, from "
            f"{RESAMPLES:,} resamples of them, the same for all runs (paired bootstrap, seed {self.seed})",
            *self.notes,
        ]
        return f"{table}\n" + "".join(f"* {line}\n" for line in said)

    def _cells(self, n: int) -> list[str]:
        """The n-th figure of each run."""
        name = self.runs[0].figures[n].name
        scale, form = FORMATS.get(name, (1.0, ".4f"))
        signed = "+" + form
        cells = [format(scale * self.runs[0].figures[n].value, form)]
        for run, row in zip(self.runs[1:], self.differences, strict=True):
            by, low, high = (format(scale * value, signed) for value in row[n])
            cells.append(f"{scale * run.figures[n].value:{form}}  {by} [{low}, {high}]")
        return cells

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values; `difference` is `[value, low, high]`, and null for the first run."""
        return {
            "runs": [
                {
                    "run": run.run,
                    **{figure.name: figure.value for figure in run.figures},
                    "difference": row and {f.name: [*by] for f, by in zip(run.figures, row, strict=True)},
                    "parameters": run.parameters,
                    "seconds": run.seconds,
                }
                for run, row in zip(self.runs, (None, *self.differences), strict=True)
            ],
            "options": {name: list(values) for name, values in self.options.items()},
            "examples": self.examples,
            "unit": self.unit,
            "seed": self.seed,
            "resamples": RESAMPLES,
            "data": dict(self.data),
            "notes": list(self.notes),
        }


TITLES = {
    "loss": "loss, nats a token",
    "bits_per_byte": "bits a byte",
    "bits_per_character": "bits a character",
    "accuracy": "next token right, %",
    "exact": "exact sentences, %",
    "bleu": "BLEU",
    "chrf": "chrF",
}
"""How a table names what JSON calls otherwise."""
FORMATS = {"accuracy": (100.0, ".2f"), "exact": (100.0, ".2f"), "bleu": (1.0, ".2f"), "chrf": (1.0, ".2f")}
FORMATS["perplexity"] = (1.0, ".3f")
"""By what a table multiplies a figure, and its format; others have four decimals."""


def compare(
    runs: Sequence[Compared],
    *,
    unit: str,
    seed: int,
    data: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Comparison:
    """Set runs side by side.

    Args:
        runs: two or more, with the same figures of the same examples; see `Comparison` for the rest.
    """
    found = differences([run.figures for run in runs], seed)
    options = differing([run.options for run in runs])
    return Comparison(runs, found, options, len(runs[0].figures[0].sums), unit, seed, data, notes)


def check_enough(examples: int, unit: str, source: str) -> None:
    """Refuse fewer than `FEWEST` examples, with a DataError."""
    if examples < FEWEST:
        raise DataError(f"{source}: {examples} {unit}; an interval needs {FEWEST} at least")


def differing(options: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The options that are not the same for all, in the order of their first appearance."""
    names = dict.fromkeys(name for one in options for name in one)
    values = {name: [one.get(name) for one in options] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


_NAMES: dict[bool, str] = {True: "yes", False: "no"}


def _option(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _NAMES[value]
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
