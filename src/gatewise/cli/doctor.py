"""`gatewise doctor`: what this machine has, and whether every backend computes what its definition says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gatewise.cli.output import JsonFlag, Output

if TYPE_CHECKING:
    from gatewise.cli.selfcheck import Check

SelftestFlag = Annotated[
    bool,
    typer.Option("--selftest", help="Check some hundred calls, with every cell and variant; under a minute."),
]
COLUMNS = ("cell", "type", "backend", "cases", "values", "gradients", "s")
"""Beside the verdict, which may take two lines; together they fit into 80 characters."""


def doctor(selftest: SelftestFlag = False, as_json: JsonFlag = False) -> None:
    """Show versions and hardware, and check every way to run a layer against the definition of its cell.

    The exit code is 0 when every check passes and 1 when one fails.

    Example: [bold]gatewise doctor --selftest[/bold]
    """
    from gatewise.cli.selfcheck import CAPS, check_backends, quick_cases, selftest_cases
    from gatewise.cli.surroundings import surroundings

    out = Output(as_json)
    facts, start = surroundings(), time.perf_counter()
    cases = selftest_cases() if selftest else quick_cases()
    dtypes = tuple(CAPS) if selftest else tuple(CAPS)[1:]
    checks = list(check_backends(cases, dtypes))
    _show(out, facts, checks)
    passed, ran = all(check.passed for check in checks), sum(check.cases for check in checks)
    seconds = time.perf_counter() - start
    verdict = "every check passed" if passed else "a check failed: see the lines marked FAILED"
    out.text.print(f"\n{ran} cases in {seconds:.1f} s: {verdict}")
    out.result(
        {
            "passed": passed, "surroundings": facts, "selftest": selftest, "cases": ran, "seconds": seconds,
            "checks": [check.as_dict() for check in checks],
        }
    )  # fmt: skip
    if not passed:
        raise typer.Exit(1)


def _show(out: Output, facts: dict[str, Any], checks: list[Check]) -> None:
    """What the machine has, the table of checks, and a line for each that could not run or failed."""
    width = max(map(len, facts))
    for name, value in facts.items():
        out.text.print(f"{name.replace('_', ' '):<{width}}  {_phrase(value)}")
    out.text.print(
        "\nBackends against the definition in float64: the largest relative errors (L2) ≤ what is allowed;\n"
        "* marks the backend that runs unasked"
    )
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, no_wrap=True)
    table.add_column("check")
    for check in checks:
        table.add_row(
            check.cell if check.device == "cpu" else f"{check.cell} on {check.device}",
            check.dtype, f"{check.backend}{'*' if check.chosen else ''}", str(check.cases),
            _error(check.output_error, check.output_allowed), _error(check.gradient_error, check.gradient_allowed),
            f"{check.seconds:.2f}", check.verdict,
        )  # fmt: skip
    out.text.print(table)
    for check in checks:
        if check.reason:
            out.text.print(f"{check.cell} {check.dtype} on {check.device}, {check.backend}: {check.reason}")


def _phrase(value: object) -> str:
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _error(found: float | None, allowed: float | None) -> str:
    return "" if found is None or allowed is None else f"{found:.0e} ≤ {allowed:.0e}"
