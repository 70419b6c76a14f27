"""A reader to be fuzzed, and how a broken file gets to it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz_contents import JSON, TENSORS, TOML

Use = Callable[[Path, bytes], object]


@dataclass(frozen=True)
class Reader:
    """A reader, the good files that its inputs are made from, and what its format is written with.

    Args:
        seeds: called once.
        use: writes a content into a scratch folder, and reads it.
        tokens: pieces of the format, to be put anywhere.
    """

    seeds: Callable[[], list[bytes]]
    use: Use
    tokens: tuple[bytes, ...]


def as_file(name: str, read: Callable[[Path], object]) -> Use:
    """Read it from a file of that name."""

    def use(folder: Path, content: bytes) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return use


def inside(good: Callable[[], Path], name: str, read: Callable[[Path], object], seal: bool = False) -> Use:
    """A file of a good folder, broken; seal: the checkpoint's manifest is made to agree."""

    def use(folder: Path, content: bytes) -> object:
        whole = folder / good().parent.name / good().name
        if not whole.exists():
            shutil.copytree(good(), whole)
        (whole / name).write_bytes(content)
        if seal:
            manifest = json.loads((whole / "manifest.json").read_bytes())
            manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            (whole / "manifest.json").write_text(json.dumps(manifest))
        return read(whole)

    return use


def of(*contents: str) -> Callable[[], list[bytes]]:
    """Good files that are written out."""
    return lambda: [content.encode() for content in contents]


def bytes_of(good: Callable[[], Path], name: str = "") -> Callable[[], list[bytes]]:
    """A good file that `good` makes, or one of that name in the folder that it makes."""
    return lambda: [(good() / name if name else good()).read_bytes()]


def of_file(
    good: Callable[[], Path], name: str, read: Callable[[Path], object], seal: bool = False
) -> Reader:
    """One file of a good folder, broken; `seal` as of `inside`."""
    tokens = {".toml": TOML, ".safetensors": TENSORS}.get(Path(name).suffix, JSON)
    return Reader(bytes_of(good, name), inside(good, name, read, seal), tokens)
