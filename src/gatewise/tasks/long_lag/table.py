"""The outcome of a long-lag study: every trial, and a table with the papers' figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from gatewise.markdown import markdown_table
from gatewise.tasks.long_lag.experiments import EXPERIMENTS, Reported
from gatewise.tasks.long_lag.trial import Trial


@dataclass(frozen=True)
class Row:
    """The trials of one cell at one experiment.

    Args:
        successes: of `trials`.
        sequences: median, least and most that the successful trials took; None without one.
        budget: sequences after which a trial has failed.
        wrong: mean number of wrong sequences in the test of `tested`, over the successful trials, or over all where
            none succeeded.
        seconds: mean of all trials.
    """

    experiment: str
    cell: str
    trials: int
    successes: int
    sequences: tuple[int, int, int] | None
    budget: int
    wrong: float
    tested: int
    seconds: float


@dataclass(frozen=True)
class Study:
    """Trials in the order in which they were made."""

    trials: list[Trial]

    def rows(self) -> list[Row]:
        """One row an experiment and cell, in the order of the experiments, cells as they first appear."""
        cells = list(dict.fromkeys(trial.cell for trial in self.trials))
        grouped = [
            [t for t in self.trials if (t.experiment, t.cell) == (name, cell)]
            for name in EXPERIMENTS
            for cell in cells
        ]
        return [_row(trials) for trials in grouped if trials]

    def to_markdown(self) -> str:
        """The rows as a table, which reads well as plain text too; under it, what the papers report."""
        head = (
            "experiment", "cell", "success", "sequences to success: median (least-most)", "the paper's LSTM",
            "wrong in the test", "seconds",
        )  # fmt: skip
        rows = [_cells(row) for row in self.rows()]
        return markdown_table(head, rows, left=2) + "\n" + self._notes()

    def _notes(self) -> str:
        names = list(dict.fromkeys(row.experiment for row in self.rows()))
        lines = [f"* {EXPERIMENTS[name].title}: {_source(EXPERIMENTS[name].reported)}." for name in names]
        return "The papers' figures:\n\n" + "\n".join(lines) + "\n" if lines else ""

    def to_dict(self) -> dict[str, Any]:
        """Rows, what the papers report, and trials, as plain values."""
        rows = [
            asdict(row) | {"reported": asdict(EXPERIMENTS[row.experiment].reported)} for row in self.rows()
        ]
        return {"rows": rows, "trials": [asdict(trial) for trial in self.trials]}


def _row(trials: Sequence[Trial]) -> Row:
    good = [t for t in trials if t.success]
    took = [t.sequences for t in good]
    tested = good or trials
    return Row(
        trials[0].experiment,
        trials[0].cell,
        len(trials),
        len(good),
        (round(median(took)), min(took), max(took)) if took else None,
        round(trials[0].options["budget"]),
        sum(t.wrong for t in tested) / len(tested),
        trials[0].tested,
        sum(t.seconds for t in trials) / len(trials),
    )


def _cells(row: Row) -> tuple[str, ...]:
    if row.sequences is None:
        took = f"none in {row.budget:,}"
    else:
        middle, least, most = row.sequences
        took = f"{middle:,} ({least:,}-{most:,})" if row.successes > 1 else f"{middle:,}"
    reported = EXPERIMENTS[row.experiment].reported
    return (
        EXPERIMENTS[row.experiment].title,
        row.cell,
        f"{row.successes} of {row.trials}",
        took,
        f"{reported.sequences:,}" if reported.sequences else "",
        f"{row.wrong:,.1f} of {row.tested:,}",
        f"{row.seconds:,.0f}",
    )


def _source(reported: Reported) -> str:
    share = "" if reported.success is None else f"; success in {reported.success:.0%} of its trials"
    return f"{reported.paper}, {reported.place}{share}"
