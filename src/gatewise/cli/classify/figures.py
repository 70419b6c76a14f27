"""A classifier's figures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_LABELS = 20
"""A confusion matrix of more labels than this is not drawn."""


def print_figures(figures: Mapping[str, Any], console: Console) -> None:
    """Accuracy, F1 and calibration, then a line a label."""
    uncalibrated = figures["uncalibrated"]["calibration_error"]
    console.print(
        f"accuracy {figures['accuracy']:.4f}   macro F1 {figures['macro_f1']:.4f}   loss {figures['loss']:.4f} nats   "
        f"calibration error {figures['calibration_error']:.4f} ({uncalibrated:.4f} before the temperature)   "
        f"{figures['examples']:,} examples"
    )
    table = Table("label", box=None, pad_edge=False)
    for title in ("precision", "recall", "F1", "examples"):
        table.add_column(title, justify="right")
    for label, row in figures["classes"].items():
        scores = [f"{row[name]:.4f}" for name in ("precision", "recall", "f1")]
        table.add_row(Text(label), *scores, f"{row['support']:,}")
    console.print(table)


def print_confusion(figures: Mapping[str, Any], console: Console) -> None:
    """Rows the true label, columns the predicted one."""
    labels = figures["labels"]
    if len(labels) > MOST_LABELS:
        console.print(f"confusion of {len(labels)} labels: use --json")
        return
    table = Table("true \\ predicted", box=None, pad_edge=False)
    for label in labels:
        table.add_column(Text(label), justify="right")
    for label, counts in zip(labels, figures["confusion"], strict=True):
        table.add_row(Text(label), *(f"{count:,}" for count in counts))
    console.print(table)
