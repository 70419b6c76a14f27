"""Tensors from a safetensors file, whoever wrote it: opened only when its header is of a bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from gatewise.errors import RunError
from gatewise.files import check_file

MOST_HEADER = 1_000_000
"""Bytes of the header of weights or inputs: room for about 10,000 tensors, each of which takes 30 µs to open."""

# For a shape beyond 64 bits the library passes on what torch raises.
_UNREADABLE = (OSError, SafetensorError, TypeError, ValueError, OverflowError, RuntimeError, MemoryError)


def read_tensors(path: Path, most_header: int = MOST_HEADER) -> dict[str, Tensor]:
    """Every tensor of a safetensors file; see `read_described`."""
    return read_described(path, most_header)[0]


def read_described(path: Path, most_header: int = MOST_HEADER) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a safetensors file, on the CPU, and its metadata.

    The tensors are maps of the file: their numbers are read from it when they are used, so a file must not be cut short
    meanwhile.

    Args:
        most_header: bytes of the header, which names the tensors.

    Raises:
        RunError: no regular file, not a whole safetensors file, or a longer header.
    """
    _check_header(path, most_header)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            return tensors, file.metadata() or {}
    except _UNREADABLE as error:
        raise RunError(f"{path}: not a readable safetensors file ({error})") from None


def _check_header(path: Path, most: int) -> None:
    check_file(path, RunError)
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from None
    if size > most:
        raise RunError(
            f"{path}: not a readable safetensors file (its header claims {size:,} bytes; {most:,} at most are read)"
        )


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, contiguous, and none in another's memory (tied weights), which safetensors refuses."""
    taken, apart = set(), {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return apart
