"""Fetching a public data set from its official address: checked, unpacked and put in place by one rename."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gatewise.data.catalogue import CATALOGUE, Dataset
from gatewise.data.download import Progress, download
from gatewise.data.unpack import unpack
from gatewise.errors import DataError, UsageError
from gatewise.files import read_json

RECORD = "SOURCE.json"
"""Kept with the data: where it came from and under which licence."""
_MOST_RECORD = 1_000_000  # bytes


def fetch(
    name: str,
    folder: str | Path,
    *,
    base_urls: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a data set of the catalogue into `folder/name`.

    The licence is `CATALOGUE[name].licence`; show it before. What was fetched before is not fetched again.

    Args:
        name: imdb, shakespeare or multi30k.
        folder: made if need be.
        base_urls: for a data set's name another address to take its files from; they must be the same files.
        progress: called with the bytes received and expected of the file that is being downloaded.

    Returns:
        The folder that holds the data.

    Raises:
        DataError: the data cannot be had, or is not what it should be; nothing is left behind.
        UsageError: there is no such data set.
    """
    dataset = CATALOGUE.get(name)
    if dataset is None:
        raise UsageError(f"there is no data set {name!r}; there are {', '.join(CATALOGUE)}")
    return fetch_dataset(dataset, Path(folder), base_url=(base_urls or {}).get(name), progress=progress)


def fetch_dataset(
    dataset: Dataset, folder: Path, *, base_url: str | None = None, progress: Progress | None = None
) -> Path:
    """As `fetch`, for a data set that is described by the caller."""
    target = folder / dataset.name
    if target.exists():
        return _fetched_before(dataset, target)
    scratch = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{dataset.name}-", dir=folder))
        complete = scratch / dataset.name
        complete.mkdir()
        _collect(dataset, scratch, complete, (base_url or dataset.address).rstrip("/"), progress)
        record = json.dumps(dataset.record(), indent=2) + "\n"
        (complete / RECORD).write_text(record, encoding="utf-8")
        complete.rename(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    return target / dataset.inside


def _collect(
    dataset: Dataset, scratch: Path, complete: Path, address: str, progress: Progress | None
) -> None:
    for file in dataset.files:
        path = (scratch if dataset.archive else complete) / file.name
        download(f"{address}/{file.name}", path, size=file.size, checksum=file.checksum, progress=progress)
        if dataset.archive:
            limits = {"max_bytes": dataset.max_unpacked_bytes, "max_files": dataset.max_unpacked_files}
            unpack(path, complete, **limits)
    if not (complete / dataset.inside).is_dir():
        raise DataError(f"{dataset.name}: there is no folder {dataset.inside!r} in the archive")


def _fetched_before(dataset: Dataset, target: Path) -> Path:
    """The data of an earlier fetch, which is complete because it was renamed into place."""
    try:
        record = read_json(target / RECORD, _MOST_RECORD, DataError)
    except DataError:
        record = None
    if record != dataset.record():
        raise DataError(f"{target}: is there already and is not a fetched {dataset.name}; move it away")
    return target / dataset.inside
