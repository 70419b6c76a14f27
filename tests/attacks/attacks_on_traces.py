"""Trace files from a stranger."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from attack import Attack
from attack_files import as_file, entry, linked, sparse, tensor_bytes, trace_file
from safetensors import safe_open
from safetensors.torch import save_file

from gatewise.errors import RunError
from gatewise.memory import Trace

ENTRY = "gatewise_trace"


def _trace(
    name: str,
    says: str,
    what: str,
    naive: str,
    header: Callable[[dict[str, Any]], object] | None = None,
    tensors: Callable[[dict[str, torch.Tensor]], object] | None = None,
    text: str | None = None,
) -> Attack:
    """A trace whose description or tensors were changed; text: the description in full."""

    def make(folder: Path) -> Path:
        with safe_open(str(trace_file()), framework="pt") as file:
            described = json.loads(file.metadata()[ENTRY])
            held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        for change, of in ((header, described), (tensors, held)):
            if change is not None:
                change(of)
        save_file(
            held, folder / "t.safetensors", metadata={ENTRY: json.dumps(described) if text is None else text}
        )
        return folder / "t.safetensors"

    return Attack(name, what, naive, make, Trace.load, RunError, says)


def _layer(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda header: header["layers"][0].update(values)


ON_TRACES = [
    Attack(
        "trace whose header claims 2^60 bytes",
        "The first 8 bytes.",
        "Asks for an exabyte.",
        as_file("t.safetensors", tensor_bytes(b"{}", claimed=1 << 60)),
        Trace.load,
        RunError,
        "claims",
    ),
    Attack(
        "trace of 10 GB of zeros",
        "A sparse file.",
        "Reads it whole.",
        sparse("t.safetensors", 10 << 30),
        Trace.load,
        RunError,
        "not a readable safetensors",
    ),
    Attack(
        "trace on an endless device",
        "A link to /dev/zero.",
        "Reads for ever.",
        linked("t.safetensors", "/dev/zero"),
        Trace.load,
        RunError,
        "not a regular file",
    ),
    Attack(
        "trace with a shape beyond 63 bits",
        "A shape that no torch can hold.",
        "A TypeError of torch.",
        as_file("t.safetensors", tensor_bytes({"a": entry("F32", [0, 2**64 - 1], 0, 0)})),
        Trace.load,
        RunError,
        "not a readable safetensors",
    ),
    _trace(
        "trace with a description nested deeply",
        "cannot be read",
        "It is a text in the header, so no parser of safetensors limits it.",
        "RecursionError.",
        text="[" * 100_000,
    ),
    _trace(
        "trace of a format without end",
        "its format is inf",
        "1e999 is infinity.",
        "int(inf) is an OverflowError.",
        text='{"format": 1e999, "modules": [], "layers": []}',
    ),
    _trace(
        "trace of a newer format",
        "this version reads up to",
        "A later format.",
        "Reads what it knows of it.",
        header=lambda h: h.update(format=99),
    ),
    _trace(
        "trace of a module that is a list",
        "contradicts itself",
        "An unhashable key.",
        "TypeError.",
        header=lambda h: h.update(modules=[["a"]]),
    ),
    _trace(
        "trace of a layer without a number",
        "has the number",
        "A list for a layer's number.",
        "TypeError as soon as the layers are sorted.",
        header=_layer(layer=[0]),
    ),
    _trace(
        "trace of an unknown cell",
        "has cell",
        "A cell that does not exist.",
        "KeyError.",
        header=_layer(cell="os"),
    ),
    _trace(
        "trace that lacks a gate",
        "holds the gates",
        "An LSTM without a forget gate.",
        "KeyError in the ledger.",
        header=_layer(gates=["i", "g", "o"]),
    ),
    _trace(
        "trace with lengths beyond its end",
        "/lengths are not whole numbers",
        "A row of a billion steps, of 5.",
        "Reads beyond the end.",
        tensors=lambda t: t.update({"0/lengths": torch.tensor([10**9, -1])}),
    ),
    _trace(
        "trace with gates of whole numbers",
        "another kind",
        "Gates of int64.",
        "Rounds every share to 0.",
        tensors=lambda t: t.update({"0/gates/f": t["0/gates/f"].long()}),
    ),
    _trace(
        "trace with a shape that does not fit",
        "has shape",
        "One gate of other sizes.",
        "Broadcasts it.",
        tensors=lambda t: t.update({"0/gates/f": torch.zeros(5, 1, 1)}),
    ),
    _trace(
        "trace with the variant of a stranger",
        "contradicts itself",
        "An option of no layer.",
        "Sets any attribute.",
        header=_layer(variant="__class__ zoneout=nan:1e999"),
    ),
]
