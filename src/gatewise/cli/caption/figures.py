"""The figures of a captioner, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console


def print_figures(figures: Mapping[str, Any], console: Console) -> None:
    """The usual figures, a line each."""
    console.print(
        f"  seen         {figures['examples']:,}, with {figures['sentences']:,} sentences of {figures['tokens']:,} "
        "tokens with their ends"
    )
    console.print(
        f"  loss         {figures['loss']:.4f} nats a token, perplexity {figures['perplexity']:.2f}"
    )
    console.print(f"  next token   {figures['accuracy']:.2%} right")
    console.print(f"  sentences    {figures['exact']:.2%} exactly as one of theirs")
    for name, title in (("bleu", "BLEU"), ("chrf", "chrF")):
        if name in figures:
            console.print(f"  {title:<12} {figures[name]:.2f}  ({figures[f'{name}_signature']})")
    for note in figures.get("notes", []):
        console.print(f"  note: {note}")
