"""Many small cases in one test: all run, and what failed is raised together, each with its case."""

from collections.abc import Callable, Sequence

from pairwise import Case, case_id

SHOWN = 5  # of those that fail


def each(cases: Sequence[Case], check: Callable[[int, Case], None], only: int | None = None) -> None:
    """Call `check(number, case)` for all, or for number `only`.

    Raises:
        ExceptionGroup: of the first failures, each with a note that says how to run it alone.
    """
    failures: list[Exception] = []
    for k, case in enumerate(cases):
        if only in (None, k):
            try:
                check(k, case)
            except Exception as error:
                error.add_note(f"alone: --case {k} ({case_id(case)})")
                failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(cases)} cases failed", failures[:SHOWN])
