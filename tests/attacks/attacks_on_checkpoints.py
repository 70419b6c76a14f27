"""Checkpoints from a stranger: the manifest, what it names, and what is in there."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attack_files import as_file, checkpoint, copy_of, entry, in_json, linked, sparse, tensor_bytes

from gatewise.errors import RunError
from gatewise.training.checkpoint import latest_checkpoint, load_checkpoint

MANIFEST, MODEL, STATE = "manifest.json", "model.safetensors", "state.json"


def _checkpoint(name: str, change: Callable[[Path], object], says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, copy_of(checkpoint, change), load_checkpoint, RunError, says)


def _sealed(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """The change, and a manifest that says the truth of it: sizes and hashes do not protect from its maker."""

    def write(folder: Path) -> None:
        change(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        for name in manifest["files"]:
            content = (folder / name).read_bytes()
            manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return write


def _files(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest["files"])
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return write


HASH = {"size": 1, "sha256": "0" * 64}
DEEP = "[" * 100_000

ON_CHECKPOINTS = [
    _checkpoint(
        "checkpoint whose manifest leads outside",
        _files(lambda f: f.update({"../../../etc/passwd": HASH})),
        "is not the name of a checkpoint's file",
        "A path in the manifest.",
        "Reads any file.",
    ),
    _checkpoint(
        "checkpoint whose manifest names an absolute path",
        _files(lambda f: f.update({"/etc/passwd": HASH})),
        "is not the name of a checkpoint's file",
        "A path in the manifest.",
        "Reads any file.",
    ),
    _checkpoint(
        "checkpoint with a link in it",
        linked(MODEL, "/etc/passwd"),
        "is a link",
        "A link in place of a file.",
        "Reads any file, and may show it in an error.",
    ),
    _checkpoint(
        "checkpoint on an endless device",
        linked(STATE, "/dev/zero"),
        "is a link",
        "A link to /dev/zero.",
        "Reads for ever.",
    ),
    _checkpoint(
        "checkpoint with a pipe in it",
        lambda folder: ((folder / STATE).unlink(), os.mkfifo(folder / STATE)),
        "is not a regular file",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
    ),
    _checkpoint(
        "checkpoint with a file too many",
        as_file("evil.so", b"x"),
        "is not in the checkpoint's manifest",
        "A file that the manifest does not know.",
        "Carries it along.",
    ),
    _checkpoint(
        "checkpoint with a changed byte",
        lambda folder: (folder / STATE).write_bytes((folder / STATE).read_bytes().replace(b"7", b"8")),
        "SHA-256",
        "One other digit, of the same length.",
        "Goes on from another step.",
    ),
    _checkpoint(
        "checkpoint that is cut short",
        lambda folder: os.truncate(folder / MODEL, 40),
        "has 40 bytes",
        "The end of the weights is missing.",
        "Fills what is there.",
    ),
    _checkpoint(
        "checkpoint of a terabyte",
        _files(lambda f: f[MODEL].update(size=1 << 40)),
        "memory has",
        "A size that no machine has.",
        "MemoryError.",
    ),
    _checkpoint(
        "checkpoint of a negative size",
        _files(lambda f: f[MODEL].update(size=-1)),
        "whole number from 0",
        "A size below zero.",
        "read(-1) reads everything.",
    ),
    _checkpoint(
        "checkpoint of a size of NaN",
        lambda folder: as_file(
            MANIFEST, (folder / MANIFEST).read_text().replace('"size": ', '"size": NaN, "was": ', 1)
        )(folder),
        "NaN is no number of JSON",
        "A size that is no number.",
        "Compares with it.",
    ),
    _checkpoint(
        "checkpoint of a newer format",
        in_json(MANIFEST, format=99),
        "newer version",
        "A later format.",
        "Reads what it knows of it.",
    ),
    _checkpoint(
        "checkpoint of a format of text",
        in_json(MANIFEST, format="1; rm"),
        "must be a whole number",
        "No number.",
        "TypeError.",
    ),
    _checkpoint(
        "checkpoint with a manifest of 10 GB",
        sparse(MANIFEST, 10 << 30),
        "at most belong there",
        "A sparse file.",
        "Reads it whole.",
    ),
    _checkpoint(
        "checkpoint with a manifest nested deeply",
        as_file(MANIFEST, DEEP),
        "not JSON",
        "A hundred thousand brackets.",
        "RecursionError.",
    ),
    _checkpoint(
        "checkpoint with a state nested deeply",
        _sealed(as_file(STATE, DEEP)),
        "not JSON",
        "A hundred thousand brackets, with a right hash.",
        "RecursionError.",
    ),
    _checkpoint(
        "checkpoint with a number of 5,000 digits",
        _sealed(as_file(STATE, f'{{"a": {"9" * 5000}}}')),
        "not JSON",
        "More digits than Python converts.",
        "ValueError.",
    ),
    _checkpoint(
        "checkpoint whose weights claim 2^60 bytes",
        _sealed(as_file(MODEL, tensor_bytes(b"{}", claimed=1 << 60))),
        "header claims",
        "A header of 2^60 bytes, with a right hash.",
        "Asks for the memory.",
    ),
    _checkpoint(
        "checkpoint with a shape beyond 63 bits",
        _sealed(as_file(MODEL, tensor_bytes({"a": entry("F32", [0, 2**64 - 1], 0, 0)}))),
        "not a readable safetensors",
        "A shape that no torch can hold.",
        "A TypeError of torch.",
    ),
    _checkpoint(
        "checkpoint that is a pickle",
        _sealed(as_file(MODEL, b"\x80\x04cos\nsystem\n(S'id'\ntR.")),
        "header claims",
        "A pickle that runs a command.",
        "Unpickles it.",
    ),
    Attack(
        "checkpoint with a step of 400 digits",
        "A folder's name with a number.",
        "OverflowError, or a wrong order.",
        lambda folder: ((folder / ("step-" + "9" * 200)).mkdir(), folder)[1],
        lambda folder: _is_none(latest_checkpoint(folder)),
        None,
    ),
]


def _is_none(found: Path | None) -> None:
    assert found is None
