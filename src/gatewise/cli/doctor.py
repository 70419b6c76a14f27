"""`gatewise doctor`: what this machine has, and whether every backend computes what its definition says."""

from __future__ import annotations

import typer
from rich.table import Table

from gatewise.cli.output import JsonFlag, Output


def doctor(as_json: JsonFlag = False) -> None:
    """Show versions and hardware, and check every way to run a layer against the definition of its cell.

    The exit code is 0 when every check passes and 1 when one fails.

    Example: [bold]gatewise doctor[/bold]
    """
    from gatewise.cli.selfcheck import check_backends
    from gatewise.cli.surroundings import surroundings

    out = Output(as_json)
    facts, checks = surroundings(), check_backends()
    width = max(map(len, facts))
    for name, value in facts.items():
        out.text.print(f"{name.replace('_', ' '):<{width}}  {_phrase(value)}")
    out.text.print("\nBackends against the definition in float64 (relative error of output and gradient)")
    table = Table(
        "cell",
        "type",
        "device",
        "backend",
        "unasked",
        "check",
        "output",
        "gradient",
        box=None,
        pad_edge=False,
    )
    for check in checks:
        table.add_row(
            check.cell, check.dtype, check.device, check.backend, "runs" if check.chosen else "", check.verdict,
            _error(check.output_error), _error(check.gradient_error),
        )  # fmt: skip
    out.text.print(table)
    for check in checks:
        if check.reason:
            out.text.print(f"{check.cell} {check.dtype} on {check.device}: {check.reason}")
    passed = all(check.passed for check in checks)
    out.text.print("\nevery check passed" if passed else "\na check failed: see the lines marked FAILED")
    out.result({"passed": passed, "surroundings": facts, "checks": [check.as_dict() for check in checks]})
    if not passed:
        raise typer.Exit(1)


def _phrase(value: object) -> str:
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
