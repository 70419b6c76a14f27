"""Damaged and hostile checkpoints: each is refused with one sentence that names the file and its fault."""

import hashlib
import json
import os
import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gatewise.training.checkpoint as checkpoints
from gatewise.errors import RunError
from gatewise.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

FIXTURE = Path(__file__).parent / "fixtures" / "checkpoint-format-1" / "step-00000007"


@pytest.fixture
def path(tmp_path):
    tensors = {"model": {"w": torch.arange(12.0)}, "random": {"cpu": torch.zeros(8, dtype=torch.uint8)}}
    return save_checkpoint(tmp_path / "checkpoints", 5, Checkpoint(tensors, {"a": 1}, "x = 1\n"))


def refused(path, file, said):
    with pytest.raises(RunError) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(str(path / file)) and re.search(said, text), text
    assert "\n" not in text and len(text) < 400


def signed(path, name, content):
    """Put content into a file and its size and hash into the manifest, as somebody of ill will can."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))


FILES = ["model.safetensors", "random.safetensors", "state.json", "config.toml"]


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file(path, name):
    (path / name).unlink()
    refused(path, name, "is missing")


def test_a_missing_folder(tmp_path):
    refused(tmp_path / "none", "manifest.json", "is missing")


@pytest.mark.parametrize("name", ["extra.safetensors", "note.txt", ".hidden", "a folder"])
def test_an_extra_file(path, name):
    (path / name).mkdir() if " " in name else (path / name).write_text("")
    refused(path, name, "is not in the checkpoint's manifest.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["shorter", "longer", "empty"])
def test_another_size(path, name, change):
    content = (path / name).read_bytes()
    (path / name).write_bytes({"shorter": content[:-1], "longer": content + b" ", "empty": b""}[change])
    refused(path, name, r"has [\d,]+ bytes; ")


@pytest.mark.parametrize("name", FILES)
def test_every_single_flipped_byte(path, name):
    content = (path / name).read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (path / name).write_bytes(flipped)
        refused(path, name, "SHA-256 is [0-9a-f]{12}…; the checkpoint's manifest.json says [0-9a-f]{12}…")
    (path / name).write_bytes(content)
    load_checkpoint(path)


def test_every_shorter_manifest(path):
    content = (path / "manifest.json").read_bytes().rstrip()
    for length in range(len(content)):
        (path / "manifest.json").write_bytes(content[:length])
        refused(path, "manifest.json", "not JSON")


def _files(**entries):
    good = {"size": 0, "sha256": "0" * 64}
    return json.dumps({"format": 1, "files": {"state.json": good, "config.toml": good} | entries}).encode()


GOOD = {"size": 1, "sha256": "a" * 64}
MANIFESTS = {
    "not UTF-8": (b"\xff{}", "not UTF-8"),
    "a list": (b"[]", "holds a list"),
    "a number": (b"1", "holds a int"),
    "NaN": (b'{"format": NaN}', "NaN is no number of JSON"),
    "infinity": (b'{"format": -Infinity}', "-Infinity is no number of JSON"),
    "a long number": (b'{"format": ' + b"9" * 5000 + b"}", "not JSON"),
    "nested deeply": (b"[" * 100_000, "not JSON"),
    "nothing in it": (b"{}", "format is missing"),
    "a newer format": (b'{"format": 2}', r"newer version \(format 2; this version reads up to 1\)"),
    "format 0": (b'{"format": 0}', "format is 0"),
    "format true": (b'{"format": true}', "format is True"),
    "format 1.0": (b'{"format": 1.0}', "format is 1.0"),
    "no files": (b'{"format": 1}', "files is not an object"),
    "a list of files": (b'{"format": 1, "files": []}', "files is not an object"),
    "no state": (b'{"format": 1, "files": {"config.toml": {}}}', "state.json is missing in files"),
    "an entry that is a list": (_files(**{"model.safetensors": []}), "size of model.safetensors"),
    "no size": (_files(**{"model.safetensors": {"sha256": "a" * 64}}), "size of model.safetensors"),
    "a negative size": (_files(**{"model.safetensors": GOOD | {"size": -1}}), "size of model.safetensors"),
    "a fraction for a size": (_files(**{"model.safetensors": GOOD | {"size": 1.5}}), "size of model"),
    "true for a size": (_files(**{"model.safetensors": GOOD | {"size": True}}), "size of model"),
    "a short hash": (_files(**{"model.safetensors": GOOD | {"sha256": "a" * 63}}), "sha256 of model"),
    "an upper-case hash": (_files(**{"model.safetensors": GOOD | {"sha256": "A" * 64}}), "sha256 of model"),
    "a number for a hash": (_files(**{"model.safetensors": GOOD | {"sha256": 1}}), "sha256 of model"),
    "a path up": (_files(**{"../model.safetensors": GOOD}), "'../model.safetensors' is not the name"),
    "an absolute path": (_files(**{"/etc/passwd": GOOD}), "'/etc/passwd' is not the name"),
    "a path down": (_files(**{"a/b.safetensors": GOOD}), "is not the name"),
    "a name with a zero": (_files(**{"a\0.safetensors": GOOD}), "is not the name"),
    "a name with a new line": (_files(**{"a.safetensors\n": GOOD}), r"'a.safetensors\\n' is not the name"),
    "the manifest in itself": (_files(**{"manifest.json": GOOD}), "'manifest.json' is not the name"),
    "a long name": (_files(**{"a/" * 10_000: GOOD}), "is not the name"),
    "a huge state": (_files(**{"state.json": GOOD | {"size": 1 << 30}}), "at most 16,777,216 are read"),
    "half of a pair": (_files(**{"\ud800": GOOD}), r"'\\ud800' is not the name"),
}


@pytest.mark.parametrize("fault", MANIFESTS)
def test_a_manifest_of_another_kind(path, fault):
    content, said = MANIFESTS[fault]
    (path / "manifest.json").write_bytes(content)
    refused(path, "manifest.json", said)


def test_a_huge_manifest_is_not_read(path):
    with (path / "manifest.json").open("wb") as stream:
        stream.truncate(1 << 40)
    tracemalloc.start()
    refused(path, "manifest.json", "has 1,099,511,627,776 bytes; 1,048,576 at most belong there")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_more_than_the_memory_is_not_read(path):
    """A file that is all hole, of four terabytes, with a manifest that says so."""
    with (path / "model.safetensors").open("wb") as stream:
        stream.truncate(1 << 42)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["model.safetensors"]["size"] = 1 << 42
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        RunError, match=r"holds 4,398,046,51\d,\d{3} bytes; this machine's memory has [\d,]+$"
    ):
        load_checkpoint(path)


def test_a_file_that_is_larger_than_the_manifest_says_is_not_read(path):
    with (path / "model.safetensors").open("r+b") as stream:
        stream.truncate(1 << 40)
    refused(path, "model.safetensors", "has 1,099,511,627,776 bytes; ")


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_is_not_followed(path, tmp_path, name):
    """Not even to the very bytes that belong there: what lies outside the folder is nobody's to read."""
    shutil.move(path / name, tmp_path / "outside")
    (path / name).symlink_to(tmp_path / "outside")
    refused(path, name, "is a link")


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "manifest.json"])
def test_a_pipe_a_folder_or_a_device_is_not_read(path, name):
    (path / name).unlink()
    os.mkfifo(path / name)
    refused(path, name, "is not a regular file")
    (path / name).unlink()
    (path / name).mkdir()
    refused(path, name, "is not a regular file")


@pytest.mark.parametrize(
    "content", [b'{"a": NaN}', b'{"a": [1e999, Infinity]}', b"[]", b"", b"\xff", b"[" * 10**6]
)
def test_a_signed_state_of_another_kind(path, content):
    signed(path, "state.json", content)
    refused(path, "state.json", "no number of JSON|holds a list|not JSON|not UTF-8")


def test_a_signed_configuration_that_is_not_utf8(path):
    signed(path, "config.toml", b"\xff")
    refused(path, "config.toml", "not UTF-8")


def _tensor_file(header, values=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def _one(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


HEADERS = {
    "nothing": b"",
    "a header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
    "a huge header": struct.pack("<Q", 1 << 23) + b" " * (1 << 23),
    "a header beyond the end": struct.pack("<Q", 1000) + b"{}",
    "not JSON": _tensor_file(b"{"),
    "offsets beyond the end": _tensor_file(_one(offsets=(0, 8)), bytes(4)),
    "offsets backwards": _tensor_file(_one(offsets=(4, 0)), bytes(4)),
    "a shape that needs more": _tensor_file(_one(shape=(2,)), bytes(4)),
    "a shape that overflows": _tensor_file(_one(shape=(2**63, 2**63), offsets=(0, 0))),
    "no elements of a huge shape": _tensor_file(_one(shape=(0, 2**63), offsets=(0, 0))),
    "an unknown dtype": _tensor_file(_one(dtype="F1"), bytes(4)),
    "a dtype that PyTorch lacks": _tensor_file(_one(dtype="F8_E8M0", shape=(4,)), bytes(4)),
    "a hole": _tensor_file(_one(offsets=(4, 8)), bytes(8)),
    "bytes that nobody owns": _tensor_file(_one(), bytes(8)),
    "a pickle": b"\x80\x04cos\nsystem\n(S'false'\ntR.",
}


@pytest.mark.parametrize("fault", HEADERS)
def test_a_signed_file_that_is_no_safetensors(path, fault):
    signed(path, "model.safetensors", HEADERS[fault])
    refused(path, "model.safetensors", "not a readable safetensors file|header claims")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_signed_change_of_bytes_gives_a_checkpoint_or_our_error(tmp_path_factory, data):
    """Of the fixture: bytes changed, cut, doubled in any file, the manifest made to fit."""
    path = tmp_path_factory.mktemp("fuzz") / "c"
    shutil.copytree(FIXTURE, path)
    name = data.draw(st.sampled_from(sorted(file.name for file in path.iterdir())))
    content = bytearray((path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    if name == "manifest.json":
        (path / name).write_bytes(content)
    else:
        signed(path, name, bytes(content))
    try:
        load_checkpoint(path)
    except RunError as error:
        assert str(path) in str(error)
    finally:
        shutil.rmtree(path)


def test_an_unknown_memory_is_no_limit(path, monkeypatch):
    monkeypatch.delattr(checkpoints.os, "sysconf")  # as on Windows
    assert load_checkpoint(path).state == {"a": 1}
