"""The outcome of a comparison: every trial, and a table of the chosen ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatewise.markdown import markdown_table

MAJORITY, BAGS = "majority label", "bag of words"


@dataclass(frozen=True)
class Trial:
    """One trained model.

    Args:
        model: a cell or a baseline.
        size: texts in its training and validation part together.
        tuned: the learning rate; the linear model's C; 0 where nothing is tuned.
        test_accuracy, test_macro_f1: None without a test set. Nothing is chosen by them.
    """

    model: str
    size: int
    seed: int
    tuned: float
    validation_accuracy: float
    validation_loss: float
    test_accuracy: float | None
    test_macro_f1: float | None
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """A model at one size with the chosen setting: means over the seeds."""

    model: str
    size: int
    tuned: float
    seeds: int
    validation_accuracy: float
    test_accuracy: float | None
    test_macro_f1: float | None
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Every trial, in the order of training; `summary` and `to_markdown` show the chosen ones."""

    trials: list[Trial]

    def summary(self) -> list[Summary]:
        """One row a model and size, in the order of first appearance, sizes rising."""
        keys = sorted({(t.size, self._rank(t.model), t.model) for t in self.trials})
        return [
            _summary([t for t in self.trials if (t.size, t.model) == (size, model)])
            for size, _, model in keys
        ]

    def _rank(self, model: str) -> int:
        return [t.model for t in self.trials].index(model)

    def to_markdown(self) -> str:
        """The summary as a table, which reads well as plain text too."""
        head = ("texts", "model", "tuned", "validation", "test", "test macro F1", "parameters", "seconds")
        rows = [
            (
                f"{row.size:,}",
                row.model,
                f"{row.tuned:g}" if row.tuned else "",
                percent(row.validation_accuracy),
                percent(row.test_accuracy),
                percent(row.test_macro_f1),
                f"{row.parameters:,}",
                f"{row.seconds:.0f}",
            )
            for row in self.summary()
        ]
        return markdown_table(head, rows, left=0)

    def to_dict(self) -> dict[str, Any]:
        """Summary and trials as plain values."""
        return {
            "summary": [asdict(row) for row in self.summary()],
            "trials": [asdict(t) for t in self.trials],
        }


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The one with the highest validation accuracy; ties go to the lower loss."""
    return max(trials, key=lambda trial: (trial.validation_accuracy, -trial.validation_loss))


def _summary(trials: list[Trial]) -> Summary:
    """The trials of one model and size; the first seed's best setting names those that count."""
    best = best_trial([t for t in trials if t.seed == trials[0].seed])
    baseline = best.model in (MAJORITY, BAGS)  # which tunes itself, for each seed anew
    chosen = [t for t in trials if baseline or t.tuned == best.tuned]
    return Summary(
        best.model,
        best.size,
        best.tuned,
        len(chosen),
        _mean([t.validation_accuracy for t in chosen]) or 0.0,
        _mean([t.test_accuracy for t in chosen]),
        _mean([t.test_macro_f1 for t in chosen]),
        best.parameters,
        _mean([t.seconds for t in chosen]) or 0.0,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def percent(share: float | None) -> str:
    """A share in per cent with two decimals; empty for None."""
    return "" if share is None else f"{100 * share:.2f} %"
