"""Cases for the native kernels alone: float32, small weights, and sizes that are no multiple of any vector's width."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from contract.cases import Built, build, outcome
from contract.catalogue import CELLS as CELL_LINES
from contract.catalogue import INSTRUCTION_SETS, LSTMS
from oracle import Run
from torch import Tensor

from gatewise.kernels import native

__all__ = ["CELLS", "LSTMS", "instruction_sets", "make", "native_only", "per_row", "rows_of", "run"]

native_only = pytest.mark.skipif(not native.available(), reason=f"no native kernels: {native.why_missing()}")
CELLS, instruction_sets = list(CELL_LINES), INSTRUCTION_SETS


def make(seed: int = 0, **case: Any) -> Built:
    """A case in float32 with 7 steps, 5 rows and 19 units but for what is given, and contractive weights."""
    return build({"dtype": torch.float32, "T": 7, "B": 5, "H": 19, "gain": 0.5, **case}, seed)


def run(made: Built, name: str = "native", **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Outputs, and gradients of every leaf."""
    return outcome(made, name, **options)


def rows_of(made: Built, rows: list[int] | Tensor) -> Built:
    """The same case with these rows of the batch, in this order, and their cotangents."""
    h_seq, c_seq, h_n, c_n, tape = made.cotangents

    def leaf(tensor: Any, *place: Any) -> Any:
        return None if tensor is None else tensor.detach()[place].requires_grad_()

    def of(thing: Any, *place: Any) -> Any:
        return None if thing is None else thing[place]

    every = slice(None)
    return replace(
        made,
        x=leaf(made.x, every, rows),
        h0=leaf(made.h0, rows),
        c0=leaf(made.c0, rows),
        lengths=of(made.lengths, rows),
        resets=of(made.resets, every, rows),
        cotangents=Run(h_seq[:, rows], of(c_seq, every, rows), h_n[rows], of(c_n, rows), tape),
    )


def per_row(made: Built) -> dict[str, Tensor]:
    """Outputs and gradients that have a row for each of the batch, with that dimension first."""
    values, gradients = run(made)
    seen = values | {f"d{name}": gradients[name] for name in ("x", "h0", "c0") if name in gradients}
    return {name: t.transpose(0, 1) if t.dim() == 3 else t for name, t in seen.items()}
