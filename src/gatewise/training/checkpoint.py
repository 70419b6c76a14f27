"""Checkpoints: a folder that is there whole or not at all, and whose every byte is checked when it is read.

The format, for readers in any language, is specified in docs/checkpoints.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

import gatewise
from gatewise.errors import RunError, UsageError
from gatewise.tensor_file import apart
from gatewise.training.config import check_format
from gatewise.training.optimizer_state import pack_optimizer, unpack_optimizer

__all__ = [
    "FORMAT",
    "Checkpoint",
    "latest_checkpoint",
    "load_checkpoint",
    "pack_optimizer",
    "save_checkpoint",
    "unpack_optimizer",
]

FORMAT = 1
MANIFEST, STATE, CONFIG, TENSORS = "manifest.json", "state.json", "config.toml", ".safetensors"
LIMITS = {MANIFEST: 1 << 20, STATE: 1 << 24, CONFIG: 1 << 20}
"""Most bytes of a text file; a tensor file may take what the machine's memory holds."""
MOST_HEADER = 1 << 22
"""Bytes of a tensor file's header, which names the tensors: room for about 40,000."""

_GROUP = re.compile(r"[a-z]+")
_FILE = re.compile(r"[a-z]+\.safetensors|state\.json|config\.toml")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VISIBLE = re.compile(
    r"step-(\d{8,})(\.old)?"
)  # .old: the previous one of the same step, until it is replaced
_HIDDEN = re.compile(r"\.step-\d{8,}\.partial-[0-9a-f]{12}")


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on.

    Args:
        tensors: groups of tensors by name ([a-z]+), in each the tensors by name; read ones are on the CPU. Every dtype
            that safetensors knows; tensors that share memory are stored and come back apart. NaN and ±inf are kept.
        state: JSON values only: objects with text keys, lists, texts, numbers, true, false, null. Floats come back
            exactly; NaN and ±inf are refused.
        config: TOML text, or "".
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    config: str = ""


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint, *, keep: int = 1) -> Path:
    """Write `folder/step-…`, safe on the disk when this returns; only then older ones go, all but `keep`.

    It is written beside its place and renamed once. A process killed at any moment leaves the newest complete
    checkpoint readable; what it leaves of a half-written one is swept away by the next save. One process writes a
    folder at a time.

    Args:
        folder: the folder of all checkpoints of one training; made when it is missing.
        step: steps done, at least 0; a checkpoint of the same step is replaced.
        keep: how many of the newest stay, at least 1.

    Raises:
        UsageError: a group's name, a tensor or a part of the state that the format cannot hold.
        RunError: the disk refuses, or `folder` holds a checkpoint of a later step (of another training).
    """
    if step < 0 or keep < 1:
        raise UsageError(f"step is {step} and keep is {keep}; they must be at least 0 and 1")
    texts = _texts(checkpoint)
    target = folder / f"step-{step:08d}"
    try:
        _make(folder)
        _refuse_later(folder, step)
        _sweep(folder)
        with _hidden(folder, step) as partial:
            _write(partial, checkpoint, texts)
            if target.exists():
                target.rename(f"{target}.old")
            partial.rename(target)
        _sync(folder)
        _sweep(folder)
        for old in _found(folder)[keep:]:
            _remove(old)
    except OSError as error:
        raise RunError(f"{target}: the checkpoint cannot be written ({error.strerror or error})") from None
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, or None; nothing of it but the manifest's presence is checked.

    Raises:
        RunError: the folder cannot be listed.
    """
    try:
        return next((path for path in _found(folder) if (path / MANIFEST).is_file()), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{folder}: cannot be read ({error.strerror})") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; every size and SHA-256 is checked before a value is used, and no link is followed.

    Raises:
        RunError: names the file and its fault: missing, not in the manifest, another size or hash, no such format,
            written by a newer version, larger than this machine's memory.
    """
    files = _manifest(path)
    _same_names(path, files)
    total, memory = sum(size for size, _ in files.values()), _memory()
    if total > memory:
        raise RunError(f"{path}: holds {total:,} bytes; this machine's memory has {memory:,}")
    read = {name: _checked(path / name, *files[name]) for name in (STATE, CONFIG)}
    tensors = {
        name.removesuffix(TENSORS): _parsed_tensors(path / name, _checked(path / name, *files[name]))
        for name in files
        if name.endswith(TENSORS)
    }
    state = _parsed_object(path / STATE, read[STATE])
    return Checkpoint(tensors, state, _decoded(path / CONFIG, read[CONFIG]))


# Writing


def _texts(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The text files; whatever would not come back as it is, is refused before anything is written."""
    for group, tensors in checkpoint.tensors.items():
        if not _GROUP.fullmatch(group):
            raise UsageError(
                f"a checkpoint's group of tensors is named {group!r}; it must be lower-case letters"
            )
        if "__metadata__" in tensors:
            raise UsageError(
                f"a checkpoint's tensor {group}/__metadata__ has a name that safetensors keeps for itself"
            )
    try:
        state = json.dumps(checkpoint.state, allow_nan=False, indent=1)
        exact = isinstance(checkpoint.state, dict) and json.loads(state) == checkpoint.state
        texts = {STATE: state.encode() + b"\n", CONFIG: checkpoint.config.encode()}
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a checkpoint's state is not JSON ({error})") from None
    if not exact:
        raise UsageError("a checkpoint's state is not an object of JSON values: it would come back changed")
    for name, text in texts.items():
        if len(text) > LIMITS[name]:
            raise UsageError(f"a checkpoint's {name} has {len(text):,} bytes; at most {LIMITS[name]:,} fit")
    return texts


def _write(partial: Path, checkpoint: Checkpoint, texts: Mapping[str, bytes]) -> None:
    """Every file, the manifest last, synced one by one; then the folder."""
    for name, text in texts.items():
        (partial / name).write_bytes(text)
    for group, tensors in checkpoint.tensors.items():
        path = partial / f"{group}{TENSORS}"
        try:
            safetensors.torch.save_file(apart(tensors), path)
        except KeyError as error:
            raise UsageError(
                f"a checkpoint's group {group!r} holds a tensor of {error}, which safetensors lacks"
            ) from None
        except SafetensorError as error:
            raise RunError(f"{partial.parent}: {path.name} cannot be written ({error})") from None
        with path.open("rb") as stream:
            header = int.from_bytes(stream.read(8), "little")
        if header > MOST_HEADER:
            raise UsageError(
                f"a checkpoint's group {group!r} has {len(tensors):,} tensors, whose names take {header:,} bytes; "
                f"at most {MOST_HEADER:,} fit"
            )
    files = {}
    for path in sorted(partial.iterdir()):
        with path.open("rb+") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[path.name] = {"size": stream.tell(), "sha256": digest}
            os.fsync(stream.fileno())
    manifest = {"format": FORMAT, "version": gatewise.__version__, "files": files}
    with (partial / MANIFEST).open("x", encoding="utf-8") as stream:
        stream.write(json.dumps(manifest, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    _sync(partial)


@contextmanager
def _hidden(folder: Path, step: int) -> Iterator[Path]:
    """A new hidden folder; gone at the end unless it was renamed."""
    partial = _hidden_name(folder, step)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make the names in a folder as safe as the files' bytes."""
    if os.name != "posix":  # elsewhere a folder cannot be opened, and its journal is all there is
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_later(folder: Path, step: int) -> None:
    for path in _found(folder):
        if _step(path) > step:
            raise RunError(
                f"{folder}: holds {path.name}, later than step {step}, which is to be saved; "
                "resume from it or use an empty folder"
            )


def _sweep(folder: Path) -> None:
    """Remove what killed saves have left: half-written ones, and those that another of the same step replaced."""
    for path in folder.iterdir():
        if _HIDDEN.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
        elif _VISIBLE.fullmatch(path.name) and path.suffix and (path.with_suffix("") / MANIFEST).is_file():
            _remove(path)


def _remove(path: Path) -> None:
    """Hidden first, so that nothing half removed is ever seen."""
    hidden = _hidden_name(path.parent, _step(path))
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _hidden_name(folder: Path, step: int) -> Path:
    return folder / f".step-{step:08d}.partial-{uuid.uuid4().hex[:12]}"


# Reading


def _found(folder: Path) -> list[Path]:
    """Everything with a checkpoint's name, the newest first."""
    paths = [path for path in folder.iterdir() if _VISIBLE.fullmatch(path.name)]
    return sorted(paths, key=lambda path: (-_step(path), path.name))


def _step(path: Path) -> int:
    match = _VISIBLE.fullmatch(path.name)
    assert match
    return int(match[1])


def _manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every other file, as the manifest has them."""
    where = path / MANIFEST
    manifest = _parsed_object(where, _bytes(where, LIMITS[MANIFEST]))
    if "format" not in manifest:
        raise RunError(f"{where}: format is missing")
    check_format(manifest["format"], where, FORMAT)
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise RunError(f"{where}: files is not an object")
    for name in (STATE, CONFIG):
        if name not in files:
            raise RunError(f"{where}: {name} is missing in files")
    return {name: _entry(where, name, entry) for name, entry in files.items()}


def _entry(where: Path, name: str, entry: Any) -> tuple[int, str]:
    if not _FILE.fullmatch(name):
        raise RunError(f"{where}: {name[:80]!r} is not the name of a checkpoint's file")
    size, digest = (entry.get("size"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RunError(f"{where}: the size of {name} is not a whole number from 0")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise RunError(f"{where}: the sha256 of {name} is not 64 hexadecimal digits")
    if size > LIMITS.get(name, size):
        raise RunError(f"{where}: {name} has {size:,} bytes; at most {LIMITS[name]:,} are read")
    return size, digest


def _same_names(path: Path, files: Mapping[str, Any]) -> None:
    """The folder holds the manifest, what it lists, and nothing else."""
    seen = set()
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name not in files and entry.name != MANIFEST:
                raise RunError(f"{path / entry.name}: is not in the checkpoint's {MANIFEST}")
            seen.add(entry.name)
    for name in files:
        if name not in seen:
            raise RunError(f"{path / name}: is missing")


def _checked(path: Path, size: int, digest: str) -> bytes:
    """The content of a file, which must be what the manifest says."""
    content = _bytes(path, size)
    if len(content) != size:
        raise RunError(f"{path}: has {len(content):,} bytes; the checkpoint's {MANIFEST} says {size:,}")
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise RunError(
            f"{path}: its SHA-256 is {found[:12]}…; the checkpoint's {MANIFEST} says {digest[:12]}…"
        )
    return content


def _bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; no link is followed, no pipe waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags), "rb") as stream:  # noqa: PTH123 - a path has no flags
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RunError(f"{path}: is not a regular file")
            if status.st_size > limit:
                raise RunError(f"{path}: has {status.st_size:,} bytes; {limit:,} at most belong there")
            return stream.read(limit + 1)
    except FileNotFoundError:
        raise RunError(f"{path}: is missing") from None
    except IsADirectoryError:
        raise RunError(f"{path}: is not a regular file") from None
    except OSError as error:
        linked = path.is_symlink()
        raise RunError(f"{path}: {'is a link' if linked else f'cannot be read ({error.strerror})'}") from None


def _parsed_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """From the bytes that were checked, not from the file, which a map of it would read again later."""
    header = int.from_bytes(content[:8], "little")
    if header > MOST_HEADER:
        raise RunError(f"{path}: its header claims {header:,} bytes; at most {MOST_HEADER:,} are read")
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, KeyError, AssertionError, ValueError, RuntimeError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), "")[:120]  # PyTorch's can hold a trace of its own
        raise RunError(f"{path}: not a readable safetensors file ({reason})") from None


def _parsed_object(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(path, content), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunError(f"{path}: holds a {type(value).__name__}; a JSON object is needed")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: not UTF-8 ({error})") from None


def _memory() -> int:
    """Bytes of this machine's memory; where a system cannot say, no limit."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62
