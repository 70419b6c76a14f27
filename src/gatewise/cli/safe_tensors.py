"""Tensors from a file that can hold nothing else; a pickled one is refused with the lines that convert it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gatewise.errors import DataError, RunError
from gatewise.tensor_file import read_tensors

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
CONVERT_WEIGHTS = """\
import torch, safetensors.torch
weights = torch.load({old}, map_location="cpu", weights_only=True)  # of a checkpoint: torch.load(...)["state_dict"]
safetensors.torch.save_file({{name: t.clone().contiguous() for name, t in weights.items()}}, {new})"""
CONVERT_INPUTS = """\
import torch, safetensors.torch
x = torch.load({old}, map_location="cpu", weights_only=True)
safetensors.torch.save_file({{"x": x.clone().contiguous()}}, {new})  # one entry for each argument of forward"""


def read_safetensors(path: Path, convert: str) -> dict[str, Tensor]:
    """Every tensor of a file.

    Args:
        convert: the three lines for a pickled file, with {old} and {new} for the names of the files.

    Raises:
        PickledError: it is a file that only unpickling opens, by its name or by its first bytes.
        RunError: it is no whole safetensors file. DataError: there is no such file.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        return read_tensors(path)
    except RunError:
        if path.suffix.lower() not in PICKLED and not _begins_like_a_pickle(path):
            raise
    raise PickledError(
        path, convert.format(old=repr(str(path)), new=repr(str(path.with_suffix(".safetensors"))))
    )


def _begins_like_a_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4).startswith(
            (b"PK\x03\x04", b"\x80")
        )  # a zip archive of torch.save, or a bare pickle


class PickledError(DataError):
    """A file whose opening can run code that stands in it. `lines`: how its owner converts it."""

    def __init__(self, path: Path, lines: str):
        super().__init__(
            f"{path}: this is a pickled file, and opening one can run code that is hidden in it, so Gatewise does not; "
            "convert it with the three lines above, in your own Python"
        )
        self.lines = lines
