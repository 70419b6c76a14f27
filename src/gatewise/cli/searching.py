"""How to search, in place of what the run says."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Beams = Annotated[int | None, typer.Option("--beams", metavar="N", help="Sequences that the search follows.")]
LengthPenalty = Annotated[
    float | None,
    typer.Option("--length-penalty", metavar="X", help="0 ranks by probability, 1 nearly by its mean."),
]
CoveragePenalty = Annotated[
    float | None, typer.Option("--coverage-penalty", metavar="X", help="What unread source tokens cost.")
]


def searching(
    beams: int | None, length_penalty: float | None, coverage_penalty: float | None
) -> dict[str, Any]:
    """Those that were given."""
    given = {"beams": beams, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    return {name: value for name, value in given.items() if value is not None}
