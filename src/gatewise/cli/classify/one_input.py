"""The one input of a call that looks into a run: a text, or a row of a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.classify.answers import check_known
from gatewise.cli.classify.reading import columns_for, read_unlabelled
from gatewise.cli.given import is_file
from gatewise.errors import DataError, UsageError

if TYPE_CHECKING:
    from gatewise.tasks.classify.fitted import FittedClassifier


def one_input(
    fitted: FittedClassifier, given: str, row: str | None, columns: dict[str, str | None]
) -> tuple[Any, list[Any] | None]:
    """The text itself, or the one of a file that `row` names; of a numeric sequence also the times of its steps."""
    from gatewise.data.series import Series

    if row is None and not is_file(given) and not fitted.config.features:
        check_known(fitted, given)
        return given, None
    if row is None:
        raise UsageError("name the row of the file that is to be explained: --row ID")
    data = read_unlabelled(given, columns_for(Path(given), fitted.config, columns))
    if row not in data.ids:
        raise DataError(f"{data.source}: there is no row with the id {row!r}")
    place = data.ids.index(row)
    found = fitted.encoder.inputs(data)[place]
    if not isinstance(data, Series):
        check_known(fitted, found)
        return found, None
    return found, _moments(data.times[place].tolist()) if data.dates else data.times[place].tolist()


def _moments(seconds: list[float]) -> list[Any]:
    """Seconds since 1970 as times in UTC, or as days where all are midnights."""
    found = [datetime.fromtimestamp(second, UTC).replace(tzinfo=None) for second in seconds]
    return [moment.date() for moment in found] if all(second % 86_400 == 0 for second in seconds) else found
