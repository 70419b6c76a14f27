"""Cases for the native kernels: sizes on both sides of every vector's width, all variants, all kinds of layout."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from compare import assert_values, rms
from kernel_cases import BEYOND_PLAIN, FACTORS, VARIANTS, Built, build
from oracle import Run
from pairwise import Case, many
from torch import Tensor

from gatewise.kernels import backend, native

native_only = pytest.mark.skipif(not native.available(), reason=f"no native kernels: {native.why_missing()}")
instruction_sets = native._module().available() if native.available() else []

CELLS = FACTORS["cell"]
LSTMS = ["lstm", "lstm_projected"]
OF_EVERY_CELL = list(VARIANTS)[:3]

# Vectors hold 2, 4, 8 or 16 numbers; a panel is 4 vectors; 9 rows are more than a tile.
SIZES = {
    "T": [0, 1, 2, 5, 12],
    "B": [0, 1, 2, 3, 5, 9],
    "I": [1, 3, 8, 19],
    "H": [1, 4, 7, 16, 19, 33, 40],
}
DTYPES = {"dtype": [torch.float64, torch.float32, torch.bfloat16]}
ALL = {**FACTORS, **BEYOND_PLAIN, **SIZES, **DTYPES}

PLAIN: Case = {
    "cell": "lstm", "dtype": torch.float32, "T": 7, "B": 5, "I": 3, "H": 19, "lengths": "none", "reverse": False,
    "bias": True, "strides": "contiguous", "keep_c": False, "resets": "none", "variant": "plain", "training": True,
}  # fmt: skip


def cases(rounds: int) -> list[Case]:
    """Pairwise: the LSTM in all its variants, and every cell in those that every cell has."""
    lstm = {**ALL, "cell": LSTMS, "variant": list(VARIANTS)}
    every_cell = {**ALL, "cell": CELLS, "variant": OF_EVERY_CELL}
    return many(lstm, rounds) + many(every_cell, rounds)


def make(seed: int = 0, **case) -> Built:
    """`PLAIN` but for what is given, with weights that make every cell contractive and saturate none.

    (Where tanh is nearly 1, its derivative 1 - h² has lost its digits, whoever computes it.)
    """
    return build({**PLAIN, **case}, seed, recurrent_gain=0.5, input_gain=0.5)


def run(made: Built, name: str = "native", **options) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Outputs, and gradients of every leaf."""
    with backend(name):
        result = made.run(**options)
    outputs = {field: t for field, t in result._asdict().items() if t is not None}
    if not made.keep_c:
        outputs.pop("c_seq", None)  # naive always has it
    return outputs, made.gradients(result._replace(c_seq=outputs.get("c_seq")))


def check(made: Built, values: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
    """Every one of them against the oracle."""
    expected = made.expected._asdict()
    size = rms(made.expected[:4])
    for name, value in values.items():
        assert_values(value.to(made.x.dtype), expected[name], name, size)  # bfloat16 has c_seq in float32
    made.check_named(gradients, cotangents_of(made))


def cotangents_of(made: Built) -> Run:
    return made.cotangents if made.keep_c else made.cotangents._replace(c_seq=None)


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


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Run the kernels of this instruction set inside the block."""
    before = native.isa()
    assert native._module().use(name)
    try:
        yield
    finally:
        native._module().use(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def assert_equal_bits(got: dict[str, Tensor], expected: dict[str, Tensor], message: str = "") -> None:
    """Bit by bit: a NaN equals the same NaN, and 0.0 is not -0.0."""
    assert got.keys() == expected.keys()
    for name, tensor in got.items():
        assert tensor.shape == expected[name].shape, f"{name} {message}"
        a, b = (t.detach().contiguous().view(torch.uint8) for t in (tensor, expected[name]))
        assert torch.equal(a, b), f"{name} {message}"
