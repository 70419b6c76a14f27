"""The run folder: written beside its place, renamed when complete, read with every fault named."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gatewise.errors import RunError
from gatewise.files import is_folder, new_file, parse_json, read_json, read_text
from gatewise.tensor_file import apart, read_tensors
from gatewise.training.config import check_format, read_toml

CONFIG, WEIGHTS, LABELS, METRICS, LOG, CARD = (
    "config.toml",
    "model.safetensors",
    "labels.json",
    "metrics.json",
    "metrics.jsonl",
    "README.md",
)

MOST_JSON = 50_000_000
"""Bytes of a file of JSON or JSON lines."""


@contextmanager
def new_run(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A hidden folder beside `folder` to write a run into; it takes that place when the block ends well.

    After an error the hidden folder is gone and what stood at `folder` is untouched. Only a process killed
    outright can leave one behind, named `.NAME.partial-…`; it is never read.

    Args:
        overwrite: replace an earlier run; a folder that holds anything else is refused all the same.

    Raises:
        RunError: `folder` exists and is not empty, is a file, or cannot be made.
    """
    target = Path(folder).absolute()
    refuse_filled(target, folder, overwrite)
    partial = target.with_name(f".{target.name}.partial-{uuid.uuid4().hex[:12]}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror})") from None
    try:
        yield partial
        refuse_filled(target, folder, overwrite)
        replace_run(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_filled(target: Path, named: str | Path, overwrite: bool) -> None:
    """Refuse to write a run at `target` (called `named`) where a file or a filled folder is, unless it is a run to be
    overwritten."""
    if target.exists() and not target.is_dir():
        raise RunError(f"{named}: is a file; a run needs a folder")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise RunError(
            f"{named}: exists and is not empty; name another folder, or overwrite it (--overwrite, overwrite=True)"
        )
    if not (target / CONFIG).is_file():
        raise RunError(f"{named}: is not empty and not a run ({CONFIG} is missing), so it is not overwritten")


def replace_run(target: Path, partial: Path) -> None:
    """Put `partial` in the place of `target`; what stood there goes only after that."""
    old = target.with_name(f".{target.name}.partial-{uuid.uuid4().hex[:12]}-old")
    if target.exists():
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON in UTF-8; NaN is refused, for JSON has none."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def note_figures(folder: Path, metrics: Mapping[str, Any], card: str) -> None:
    """Put figures that came later, and the card that shows them, into a run folder; each file whole or not at all."""
    with new_file(folder / METRICS, overwrite=True) as stream:
        json.dump(metrics, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")
    with new_file(folder / CARD, overwrite=True) as stream:
        stream.write(card)


def save_weights(model: nn.Module, path: Path) -> None:
    """Every tensor of the model's state, on the CPU, as safetensors; tied ones under each of their names."""
    save_file(apart(model.state_dict()), path)


@dataclass(frozen=True)
class Run:
    """A run folder that has been opened; its parts are read when asked for, each fault naming its file."""

    folder: Path
    task: str
    values: Mapping[str, Any]

    def path(self, name: str) -> Path:
        """The file of that name; RunError when it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise RunError(f"{self.folder}: {name} is missing")
        return path

    def json(self, name: str) -> dict[str, Any]:
        """An object from a JSON file."""
        path = self.path(name)
        value = read_json(path, MOST_JSON, RunError)
        if not isinstance(value, dict):
            raise RunError(f"{path}: holds a {type(value).__name__}; a JSON object is needed")
        return value

    def json_lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of JSON lines."""
        path = self.path(name)
        rows = []
        for number, line in enumerate(read_text(path, MOST_JSON, RunError).splitlines(), 1):
            rows.append(parse_json(line, f"{path}, line {number}", RunError))
            if not isinstance(rows[-1], dict):
                raise RunError(f"{path}: line {number} is no JSON object")
        return rows

    def weights(self, name: str = WEIGHTS) -> dict[str, Tensor]:
        """Every tensor of a safetensors file; its numbers are read and checked when they fill a model."""
        return read_tensors(self.path(name))


def check_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights, read from `path`, with numbers that are not finite."""
    for key, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise RunError(f"{path}: tensor {key!r} holds numbers that are not finite")


def fill(
    model: nn.Module, weights: Mapping[str, Tensor], path: Path, *, needed_by: str = "the configuration"
) -> None:
    """Load `weights`, read from `path`, into a model that must have the same names, shapes and kinds of number."""
    check_fit(model, weights, path, needed_by=needed_by)
    model.load_state_dict(dict(weights))


def check_fit(
    model: nn.Module, weights: Mapping[str, Tensor], path: Path, *, needed_by: str = "the configuration"
) -> None:
    """Refuse weights of other names, shapes or kinds of number than a model's, which may be without memory (meta)."""
    wanted = model.state_dict()
    for key in sorted(wanted.keys() ^ weights.keys()):
        raise RunError(
            f"{path}: tensor {key!r} is {'missing' if key in wanted else 'not part of this model'}"
        )
    for key, value in weights.items():
        if value.shape != wanted[key].shape or value.dtype != wanted[key].dtype:
            have, need = (f"{t.dtype} {list(t.shape)}".removeprefix("torch.") for t in (value, wanted[key]))
            raise RunError(f"{path}: tensor {key!r} is {have}; {needed_by} needs {need}")


def read_run(folder: str | Path) -> Run:
    """Open a run folder.

    Raises:
        RunError: no such folder, a missing or broken `config.toml`, or one written by a newer version.
    """
    path = Path(folder)
    if not is_folder(path, RunError):
        raise RunError(f"{folder}: no such run folder")
    config = path / CONFIG
    if not config.is_file():
        raise RunError(f"{folder}: {CONFIG} is missing")
    values = read_toml(config)
    for key in ("format", "task"):
        if key not in values:
            raise RunError(f"{config}: {key} is missing")
    check_format(values.pop("format"), config)
    task = values.pop("task")
    if not isinstance(task, str):
        raise RunError(f"{config}: task is {task!r}; it must be a text")
    return Run(path, task, values)
