"""Features of pictures by a model of torchvision or timm that the user has: frozen, by name, kept on disk.

What is taken is the last map that the model computes before it pools: a grid of cells. Neither package is needed for
anything else.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gatewise.data.lines import file_sha256
from gatewise.data.pictures import read_picture, squared
from gatewise.errors import RunError, UsageError
from gatewise.tensor_file import read_tensors

KEY = "cells"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class Frozen(NamedTuple):
    """A model and what it wants: `cells` takes pictures [1, 3, S, S] and gives its last map, [1, h, w, C]."""

    cells: Callable[[Tensor], Tensor]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Features:
    """Looks up, or computes, the features of picture files.

    Args:
        name: torchvision/NAME or timm/NAME; the model is made when the first picture is not in the cache.
        cache: a folder for them, or None: a file for each picture, by the model's name and the picture's SHA-256. A
            file there that cannot be read is made anew.
        device: where the model computes.
    """

    def __init__(self, name: str, cache: Path | None, device: torch.device) -> None:
        self.name, self.device = name, device
        # The readable part of the name alone could be that of two models.
        folder = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-{sha256(name.encode()).hexdigest()[:8]}"
        self.folder = cache / folder if cache is not None else None

    def __call__(self, path: Path) -> Tensor:
        """Cells [h, w, C] float16 of a picture."""
        if self.folder is None:
            return self._computed(path)
        kept = self.folder / f"{file_sha256(path)}.safetensors"
        found = _kept(kept)
        if found is None:
            found = self._computed(path)
            _keep(kept, found)
        return found

    @cached_property
    def model(self) -> Frozen:
        """The model, made now.

        Raises:
            UsageError: its package is not installed, or knows no such model, or its weights cannot be had.
        """
        package, _, name = self.name.partition("/")
        return _PACKAGES[package](_imported(package, self.name), name, self.device)

    @torch.no_grad()
    def _computed(self, path: Path) -> Tensor:
        model = self.model
        picture = torch.from_numpy(squared(read_picture(path, near=model.size), model.size))
        mean, std = (torch.tensor(one)[:, None, None] for one in (model.mean, model.std))
        cells = model.cells(((picture / 255 - mean) / std)[None].to(self.device))
        return cells[0].half().cpu().contiguous()


def _kept(path: Path) -> Tensor | None:
    if not path.is_file():
        return None
    try:
        cells = read_tensors(path).get(KEY)
    except RunError:
        return None
    if cells is None or cells.dim() != 3 or cells.dtype != torch.float16 or not cells.isfinite().all():
        return None
    return cells.clone()


def _keep(path: Path, cells: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")
    save_file({KEY: cells}, partial)
    partial.replace(path)


def _imported(package: str, name: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise UsageError(
            f"features {name!r} need {package}, which is not installed (pip install {package})"
        ) from None


def _of_timm(timm: Any, name: str, device: torch.device) -> Frozen:
    made = _made(lambda: timm.create_model(name, pretrained=True), f"timm/{name}").to(device).eval()
    model: Any = made  # every model of timm has what is asked for here
    wants = getattr(model, "pretrained_cfg", None) or {}
    size = int(wants.get("input_size", (3, 224, 224))[-1])
    aside = int(getattr(model, "num_prefix_tokens", 0))

    def cells(pictures: Tensor) -> Tensor:
        return _as_grid(model.forward_features(pictures), model.num_features, aside, name)

    return Frozen(cells, size, tuple(wants.get("mean", _MEAN)), tuple(wants.get("std", _STD)))


def _of_torchvision(package: Any, name: str, device: torch.device) -> Frozen:
    models = import_module("torchvision.models")
    model = _made(lambda: models.get_model(name, weights="DEFAULT"), f"torchvision/{name}").to(device).eval()
    last: list[Tensor] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and _has_places(output):
            last[:] = [output]

    for module in model.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(note)

    def cells(pictures: Tensor) -> Tensor:
        last.clear()
        model(pictures)
        if not last:
            raise UsageError(f"features 'torchvision/{name}': the model computes no map of several places")
        (found,) = last
        return _as_grid(found, found.shape[1] if found.dim() == 4 else found.shape[2], None, name)

    return Frozen(cells, 224, _MEAN, _STD)


_PACKAGES: dict[str, Callable[[Any, str, torch.device], Frozen]] = {
    "timm": _of_timm,
    "torchvision": _of_torchvision,
}


def _made(make: Callable[[], nn.Module], name: str) -> nn.Module:
    try:
        model = make()
    except Exception as error:  # an unknown name, weights that cannot be fetched: whatever the package raises
        raise UsageError(f"features {name!r} cannot be had ({type(error).__name__}: {error})") from None
    return model.requires_grad_(False)


def _has_places(output: Tensor) -> bool:
    return (output.dim() == 4 and output.shape[2] * output.shape[3] > 1) or (
        output.dim() == 3 and output.shape[1] > 1
    )


def _as_grid(found: Tensor, features: int, aside: int | None, name: str) -> Tensor:
    """A map as [1, h, w, C].

    Args:
        found: [1, C, h, w], [1, h, w, C], or places in a row [1, n, C] of a square, some tokens before them.
        aside: how many tokens stand before the places; None: what is beyond the largest square.
    """
    if found.dim() == 4:
        return found.permute(0, 2, 3, 1) if found.shape[1] == features else found
    side = int((found.shape[1] - (aside or 0)) ** 0.5)
    before = found.shape[1] - side**2 if aside is None else aside
    if found.dim() != 3 or found.shape[1] - before != side**2:
        raise UsageError(
            f"features {name!r}: the last map has the shape {list(found.shape)}, which is no grid"
        )
    return found[:, before:].unflatten(1, (side, side))
