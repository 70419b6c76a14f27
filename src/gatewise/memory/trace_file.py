"""A trace as one safetensors file.

The header's metadata has one entry, "gatewise_trace": JSON with `format` (2), `modules` (the paths, in order)
and `layers`, one object each with path, call, layer, direction, cell, variant (`str` of it), source, gates and pre
(names). The tensors of the n-th layer are named `n/gates/i`, `n/pre/i`, `n/h`, `n/h0`, `n/c`, `n/c0`, `n/lengths`,
`n/w_hr`, `n/borders`, `n/norm_c`, `n/norm_c_bias`, `n/masks/c`, `n/masks/h` and `n/residual`, a 0-dimensional float64;
those that a layer does not have are absent. Format 1 knew no variants.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from gatewise.cells import Variant
from gatewise.cells.catalogue import CELLS
from gatewise.errors import RunError
from gatewise.files import parse_json
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.masks import Masks
from gatewise.tensor_file import read_described

FORMAT = 2
ENTRY = "gatewise_trace"
MOST_HEADER = 50_000_000
"""Bytes: 1.5 kB for each layer and direction of each call."""
DIRECTIONS = ("forward", "reverse")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SOURCES = ("kernel", "replay")
PLAIN = ("h", "h0", "c", "c0", "lengths", "w_hr", "borders", "norm_c", "norm_c_bias")


Calls = dict[str, list[list[LayerTrace]]]  # the layers of each call, by the path of the module


def write(calls: Calls, path: Path) -> None:
    """Write to a file beside `path`, then move it there, so that no half file is ever seen."""
    layers: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for of_module in calls.values():
        for number, call in enumerate(of_module):
            for lt in call:
                tensors |= {f"{len(layers)}/{name}": _own(t) for name, t in _tensors(lt).items()}
                layers.append(_describe(lt, number))
    header = json.dumps({"format": FORMAT, "modules": list(calls), "layers": layers})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={ENTRY: header})
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _own(tensor: Tensor) -> Tensor:
    """A packed copy that shares no memory: gates are views of one tensor."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _tensors(lt: LayerTrace) -> dict[str, Tensor]:
    plain = {name: getattr(lt, name) for name in PLAIN}
    masks = {} if lt.masks is None else {"masks/c": lt.masks.c, "masks/h": lt.masks.h}
    return (
        {f"gates/{name}": t for name, t in lt.gates.items()}
        | {f"pre/{name}": t for name, t in lt.pre.items()}
        | {name: t for name, t in (plain | masks).items() if t is not None}
        | {"residual": torch.tensor(lt.residual, dtype=torch.float64)}
    )


def _describe(lt: LayerTrace, call: int) -> dict[str, Any]:
    return {
        "path": lt.path,
        "call": call,
        "layer": lt.layer,
        "direction": lt.direction,
        "cell": lt.cell,
        "variant": str(lt.variant),
        "source": lt.source,
        "gates": list(lt.gates),
        "pre": list(lt.pre),
    }


def read(path: Path) -> Calls:
    """What `write` wrote.

    Raises:
        RunError: the file is missing, broken, or of a newer version.
    """
    tensors, metadata = read_described(path, MOST_HEADER)
    if ENTRY not in metadata:
        raise RunError(f"{path}: this safetensors file holds no trace")
    try:
        header = parse_json(metadata[ENTRY], "it", RunError)
        version = header["format"]
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: the description of the trace cannot be read ({error})") from error
    if version > FORMAT:
        raise RunError(f"{path}: written in trace format {version}; this version reads up to {FORMAT}")
    try:
        return _build(header, tensors)
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"{path}: the trace is incomplete or contradicts itself ({error})") from error


def _build(header: dict[str, Any], tensors: dict[str, Tensor]) -> Calls:
    calls: Calls = {path: [] for path in header["modules"]}
    for n, entry in enumerate(header["layers"]):
        of_path = calls[entry["path"]]
        if entry["call"] == len(of_path):
            of_path.append([])
        if entry["call"] != len(of_path) - 1:
            raise ValueError(f"layer {n} belongs to call {entry['call']} after call {len(of_path) - 1}")
        of_path[-1].append(_layer(n, entry, tensors))
    return calls


def _layer(n: int, entry: dict[str, Any], tensors: dict[str, Tensor]) -> LayerTrace:
    for name, known in (("cell", CELLS), ("direction", DIRECTIONS), ("source", SOURCES)):
        if entry[name] not in known:
            raise ValueError(f"layer {n} has {name} {entry[name]!r}")
    if type(entry["layer"]) is not int or entry["layer"] < 0:
        raise ValueError(f"layer {n} has the number {entry['layer']!r}")
    plain = {name: tensors.get(f"{n}/{name}") for name in PLAIN}
    masks = Masks(tensors.get(f"{n}/masks/c"), tensors.get(f"{n}/masks/h"))
    lt = LayerTrace(
        path=entry["path"],
        layer=entry["layer"],
        direction=entry["direction"],
        cell=entry["cell"],
        gates={name: tensors[f"{n}/gates/{name}"] for name in entry["gates"]},
        h=tensors[f"{n}/h"],
        h0=tensors[f"{n}/h0"],
        pre={name: tensors[f"{n}/pre/{name}"] for name in entry["pre"]},
        c=plain["c"],
        c0=plain["c0"],
        lengths=plain["lengths"],
        w_hr=plain["w_hr"],
        source=entry["source"],
        variant=Variant.parse(entry.get("variant", "")),
        borders=plain["borders"],
        masks=None if masks == (None, None) else masks,
        norm_c=plain["norm_c"],
        norm_c_bias=plain["norm_c_bias"],
        replayed_residual=float(tensors[f"{n}/residual"]),
    )
    _check_shapes(n, lt)
    _check_values(n, lt)
    return lt


def _check_values(n: int, lt: LayerTrace) -> None:
    """What the ledgers and reports take for granted: a cell's own gates, numbers where numbers belong, lengths ≤ T."""
    cell = CELLS[lt.cell]
    gates = () if lt.cell.startswith("rnn") else cell.gates
    if set(lt.gates) != set(gates) or not set(lt.pre) <= set(cell.gates):
        raise ValueError(f"layer {n} holds the gates {[*lt.gates, *lt.pre]}, and {lt.cell} has {list(gates)}")
    if cell.has_c != (lt.c is not None) or cell.has_c != (lt.c0 is not None):
        raise ValueError(f"layer {n} of {lt.cell}: c and c0 belong to an LSTM, and to nothing else")
    numbers = [
        *lt.gates.values(),
        *lt.pre.values(),
        lt.h,
        lt.h0,
        lt.c,
        lt.c0,
        lt.w_hr,
        lt.norm_c,
        lt.norm_c_bias,
    ]
    if any(t is not None and t.dtype not in DTYPES for t in numbers):
        raise ValueError(f"layer {n} holds numbers of another kind than {', '.join(map(str, DTYPES))}")
    marks = [lt.borders] + ([lt.masks.c, lt.masks.h] if lt.masks is not None else [])
    if any(t is not None and t.dtype != torch.bool for t in marks):
        raise ValueError(f"layer {n}: borders and masks are true or false")
    if lt.lengths is not None:
        whole = lt.lengths.dtype in (torch.int32, torch.int64)
        if not whole or bool(((lt.lengths < 0) | (lt.lengths > len(lt.h))).any()):
            raise ValueError(f"{n}/lengths are not whole numbers from 0 to {len(lt.h)}")


def _check_shapes(n: int, lt: LayerTrace) -> None:
    steps, batch, hidden = lt.content_shape
    expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {}
    for group, tensors in (("gates", lt.gates), ("pre", lt.pre)):
        expected |= {f"{n}/{group}/{name}": (t, (steps, batch, hidden)) for name, t in tensors.items()}
    if lt.c is not None:
        expected[f"{n}/c"] = (lt.c, (steps, batch, hidden))
    expected[f"{n}/h0"] = (lt.h0, (batch, lt.h.shape[2]))
    if lt.c0 is not None:
        expected[f"{n}/c0"] = (lt.c0, (batch, hidden))
    if lt.borders is not None:
        expected[f"{n}/borders"] = (lt.borders, (steps, batch))
    for name, scale in (("norm_c", lt.norm_c), ("norm_c_bias", lt.norm_c_bias)):
        if scale is not None:
            expected[f"{n}/{name}"] = (scale, (hidden,))
    for name, size in (("c", hidden), ("h", lt.h.shape[2])):
        if lt.masks is not None and (mask := getattr(lt.masks, name)) is not None:
            expected[f"{n}/masks/{name}"] = (mask, (steps, batch, size))
    if lt.lengths is not None:
        expected[f"{n}/lengths"] = (lt.lengths, (batch,))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, not {shape}")
