"""Models of other packages, opened; `make test-third-party` installs them. Without them this group is skipped."""

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent.parent / "memory")
)  # what the oracle says of a layer: record_cases
pytest.register_assert_rewrite("opened_models")

COLUMNS = ("model", "layers", "steps", "gates", "h", "ledger")
_rows: list[tuple[str, ...]] = []


@pytest.fixture(autouse=True)
def _warnings_of_others_are_not_ours():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*the replayed gates give an h")
        yield


@pytest.fixture
def note():
    """Add a row to the table at the end: the model, its layers and steps, and the largest differences seen."""
    return lambda *row: _rows.append(tuple(map(str, row)))


def pytest_terminal_summary(terminalreporter):
    if not _rows:
        return
    terminalreporter.section("models of other packages: largest differences")
    for row in (COLUMNS, *_rows):
        terminalreporter.write_line(f"{row[0]:42}" + "".join(f"{cell:>10}" for cell in row[1:]))
