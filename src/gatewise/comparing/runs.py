"""The run folders of a comparison: that they can be compared, and what their notes tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from gatewise.comparing.comparison import Compared
from gatewise.comparing.figures import Figure
from gatewise.errors import DataError, UsageError
from gatewise.training.config import rule
from gatewise.training.options import FREE
from gatewise.training.run import read_run

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_runs(runs: Sequence[str | Path], task: str) -> None:
    """Refuse runs that cannot be set side by side.

    Raises:
        UsageError: fewer than two, one of them twice, or one of another task.
        RunError: one that is no run.
    """
    if len(runs) < 2:
        raise UsageError(f"compare needs two runs or more, and {len(runs)} is given")
    seen: set[Path] = set()
    for run in runs:
        own = read_run(run).task
        if own != task:
            raise UsageError(f"{run}: is a {own} run; the runs that are compared here are {task} runs")
        place = Path(run).resolve()
        if place in seen:
            raise UsageError(f"{run}: is given twice")
        seen.add(place)


class Read(Protocol):
    """Data that a run has read from a table, or from files without columns."""

    @property
    def source(self) -> str: ...
    @property
    def columns(self) -> tuple[str, str] | None: ...


def refuse_unlike(run: str | Path, read: Read, first_run: str | Path, first: Read, what: str) -> NoReturn:
    """Raise the DataError of two runs that read the same files as different examples; `what` names these."""
    raise DataError(
        f"{read.source}: {run} reads columns {_columns(read)} and {first_run} {_columns(first)}, which are not the "
        f"same {what}"
    )


def compared(
    run: str | Path, figures: Sequence[Figure], config: DataclassInstance, metrics: Mapping[str, Any]
) -> Compared:
    """A run with its figures, and what its configuration and its notes say.

    Of the options all but where the data lie, and those that do not change what is computed; the data themselves are
    told by the beginning of their hash.
    """
    options = {
        item.name: getattr(config, item.name)
        for item in fields(config)
        if rule(item).group != "data" and item.name not in FREE | {"device"}
    }
    data = _object(metrics, "data")
    digest = (_object(data, "training") or data).get("sha256")
    if isinstance(digest, str):
        options["training data, SHA-256"] = digest[:12]
    training = _object(metrics, "training")
    return Compared(str(run), figures, options, _number(training, "parameters"), _number(training, "seconds"))


def _columns(read: Read) -> str:
    return " and ".join(map(repr, read.columns or ()))


def _object(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _number(values: Mapping[str, Any], name: str) -> Any:
    found = values.get(name)
    return found if isinstance(found, int | float) else None
