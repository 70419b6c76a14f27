"""Data for a command: texts or numeric sequences, with the columns of the call, of the config, or by their names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gatewise.data.tables import open_table
from gatewise.errors import UsageError

if TYPE_CHECKING:
    from gatewise.data.series import Series
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.config import ClassifyConfig

SHOWN_LABELS = 12


def read_labelled(path: str | Path, config: ClassifyConfig) -> Texts | Series:
    """Texts, or series when the config names features; with labels."""
    if config.features:
        return _series(path, config, need_labels=True)
    from gatewise.data.texts import read_texts

    return read_texts(path, text=config.text or None, label=config.label or None, id=config.id or None)


def read_unlabelled(path: str | Path, config: ClassifyConfig) -> Texts | Series:
    """The same, without labels; an empty text is kept."""
    if config.features:
        return _series(path, config, need_labels=False)
    from gatewise.data.texts import read_texts

    return read_texts(path, text=config.text or None, id=config.id or None, need_labels=False)


def columns_for(path: Path, config: ClassifyConfig, given: dict[str, str | None]) -> ClassifyConfig:
    """A trained run's config with the columns to be read from another file.

    A column that the call names counts; else the one of the training data, if this file has it; else the file's
    own names decide, as in training.
    """
    from dataclasses import replace

    if config.features:
        return replace(config, **{name: value for name, value in given.items() if value})
    here = [] if path.is_dir() or not path.exists() else open_table(path).columns
    chosen = {}
    for name in ("text", "label", "id"):
        trained = getattr(config, name)
        chosen[name] = given.get(name) or (trained if trained in here else "")
    return replace(config, **chosen)


def describe(data: Texts | Series) -> str:
    """One sentence on what was read."""
    from gatewise.data.texts import Texts

    kind = "texts" if isinstance(data, Texts) else "sequences"
    sentence = f"read {len(data):,} {kind} from {data.source}"
    if isinstance(data, Texts) and data.text_column:
        sentence += f", column {data.text_column!r}"
        sentence += f", labels from {data.label_column!r}" if data.label_column else ""
    elif not isinstance(data, Texts):
        steps = sum(len(values) for values in data.values)
        sentence += f", {steps:,} steps of {', '.join(data.features)}"
    if data.labels:
        counts = sorted(Counter(data.labels).items())
        shown = ", ".join(f"{label} {count:,}" for label, count in counts[:SHOWN_LABELS])
        more = f", and {len(counts) - SHOWN_LABELS} more labels" if len(counts) > SHOWN_LABELS else ""
        sentence += f": {shown}{more}"
    return sentence


def _series(path: str | Path, config: ClassifyConfig, *, need_labels: bool) -> Series:
    from gatewise.data.series import read_series

    needed = {"--id": config.id, "--time": config.time} | ({"--label": config.label} if need_labels else {})
    missing = [flag for flag, value in needed.items() if not value]
    if missing:
        raise UsageError(f"numeric sequences (--features) need {' and '.join(missing)} as well")
    return read_series(
        path, id=config.id, time=config.time, features=config.features, label=config.label or None,
        need_labels=need_labels,
    )  # fmt: skip
