"""What is under contract: cells, variants and backends, one line each, and the pairwise cases that follow.

A new cell is one more line in CELLS. `test_contract_catalogue.py` fails where the package has a cell or a backend that
is missing here, and where a backend refuses what its line says it can.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import torch
from oracle import Variation
from pairwise import Case, pairwise
from torch import nn

import gatewise as gw
from gatewise.kernels import native

VARIANTS = {
    "plain": Variation(),
    "drop_h": Variation(dropout=0.25),
    "drop_weights": Variation(dropout=0.25, dropout_on="weights"),
    # from here on of the LSTM only
    "drop_g": Variation(dropout=0.25, dropout_on="g"),
    "peephole": Variation(peephole=True),
    "coupled": Variation(coupled=True),
    "layer_norm": Variation(layer_norm=True),
    "zoneout_c": Variation(zoneout=(0.25, 0.0)),
    "zoneout_h": Variation(zoneout=(0.0, 0.15)),
    "zoneout": Variation(zoneout=(0.15, 0.05)),
    "coupled_peephole": Variation(coupled=True, peephole=True),
    "coupled_norm": Variation(coupled=True, layer_norm=True),
    "norm_zoneout_drop_h": Variation(layer_norm=True, zoneout=(0.2, 0.1), dropout=0.2),
    "peephole_zoneout_drop_g": Variation(peephole=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="g"),
    "coupled_peephole_zoneout_drop_weights": Variation(
        coupled=True, peephole=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="weights"
    ),
    "coupled_norm_zoneout_drop_g": Variation(
        coupled=True, layer_norm=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="g"
    ),
}
PLAIN = VARIANTS["plain"]._asdict()
OF_EVERY_CELL = tuple(VARIANTS)[:3]
OF_THE_LSTM = tuple(VARIANTS)


@dataclass(frozen=True)
class CellLine:
    """A cell under contract.

    Attributes:
        name: in the names of tests.
        cell: of `gatewise.cells.CELLS`, and of the oracle.
        layer: makes a layer of it, called as (input_size, hidden_size, **options).
        torch: the same in PyTorch, None where it has none.
        variants: names of VARIANTS.
        projected: whether h is a projection.
    """

    name: str
    cell: str
    layer: Callable[..., Any]
    torch: Callable[..., nn.Module] | None
    variants: tuple[str, ...] = OF_EVERY_CELL
    projected: bool = False

    def options(self, variant: str, hidden_size: int) -> dict[str, Any]:
        """What `layer` takes for this variant of VARIANTS."""
        varied = {name: value for name, value in VARIANTS[variant]._asdict().items() if value != PLAIN[name]}
        for name in {"dropout", "dropout_on"} & varied.keys():
            varied[f"recurrent_{name}"] = varied.pop(name)
        if self.projected:
            varied["proj_size"] = max(1, hidden_size // 3)
            if "zoneout" in varied:
                varied["zoneout"] = (varied["zoneout"][0], 0.0)  # h is a projection, and has no unit to keep
        return varied


CELLS = {
    line.name: line
    for line in (
        CellLine("lstm", "lstm", gw.LSTM, nn.LSTM, OF_THE_LSTM),
        CellLine("lstm_projected", "lstm", gw.LSTM, nn.LSTM, OF_THE_LSTM, projected=True),
        CellLine("gru", "gru", gw.GRU, nn.GRU),
        CellLine("gru_reset_before", "gru_reset_before", partial(gw.GRU, reset_after=False), None),
        CellLine("rnn_tanh", "rnn_tanh", gw.RNN, nn.RNN),
        CellLine("rnn_relu", "rnn_relu", partial(gw.RNN, nonlinearity="relu"), partial(nn.RNN, nonlinearity="relu")),
    )
}  # fmt: skip
LSTMS = [name for name, line in CELLS.items() if line.cell == "lstm"]


@dataclass(frozen=True)
class BackendLine:
    """A backend under contract, and what it says that it can.

    Attributes:
        seeds: covering arrays in `make test`; `make test-all` takes SEEDS of them.
        devices: where it runs.
        lacks: cells that it has not.
        plain_only: no variants, no resets, no empty batches or sequences.
        factors: what there is to vary beside the rest.
    """

    name: str
    seeds: int
    devices: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    plain_only: bool = False
    factors: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def has(self, line: CellLine) -> bool:
        return line.name not in self.lacks


INSTRUCTION_SETS: list[str] = native._module().available() if native.available() else []

BACKENDS = {
    line.name: line
    for line in (
        BackendLine("native", 4, ("cpu",), factors={"isa": INSTRUCTION_SETS or ["none"]}),
        BackendLine("aten", 2, ("cpu", "cuda"), lacks=("gru_reset_before",), plain_only=True),
        BackendLine("naive", 2, ("cpu", "cuda")),
    )
}
DEVICES = ("cpu", "cuda")
SEEDS = 30

# Vectors hold 2, 4, 8 or 16 numbers; a panel is 4 vectors; 9 rows are more than a tile.
FACTORS: dict[str, Sequence[Any]] = {
    "dtype": [torch.float64, torch.float32, torch.bfloat16],
    "T": [0, 1, 2, 7, 12, 33],
    "B": [0, 1, 2, 3, 5, 9],
    "I": [1, 3, 8, 19],
    "H": [1, 3, 4, 7, 16, 19, 33, 40],
    "gain": [0.5, 1.0],  # of the weights; at 1 errors may grow with the steps
    "lengths": ["none", "sorted", "unsorted", "with_zeros", "long", "all_equal", "all_zero"],
    "resets": ["none", "few", "many", "all"],
    "reverse": [False, True],
    "bias": [True, False],
    "strides": ["contiguous", "transposed", "sliced", "expanded"],
    "keep_c": [False, True],
    "training": [True, False],
}
ONLY_PLAIN = {"resets": ["none"], "T": [1, 2, 7, 12, 33], "B": [1, 2, 3, 5, 9], "training": [True]}


def factors(backend: BackendLine, cell: CellLine, **others: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """What varies in the cases of a cell with a backend; `others` take the place of those here or stand beside them."""
    everything = {"cell": [cell.name], **FACTORS, "variant": cell.variants, **backend.factors, **others}
    return everything | ({**ONLY_PLAIN, "variant": ["plain"]} if backend.plain_only else {})


@lru_cache(maxsize=8)
def cases(backend: str, cell: str, seed: int) -> list[Case]:
    """One covering array: every two values of any two factors stand together in one of its cases at least."""
    return contractive(pairwise(factors(BACKENDS[backend], CELLS[cell]), seed))


def contractive(drawn: list[Case]) -> list[Case]:
    """The cases with small weights where the digits are few: the caps on errors are for such."""
    return [case if case["dtype"] == torch.float64 else case | {"gain": 0.5} for case in drawn]


def arrays(*, thorough: bool) -> list[tuple[str, str, int]]:
    """(backend, cell, seed) of the covering arrays of `make test`, or of those that `make test-all` adds."""
    return [
        (backend.name, cell.name, seed)
        for backend in BACKENDS.values()
        for cell in CELLS.values()
        if backend.has(cell)
        for seed in (range(backend.seeds, SEEDS) if thorough else range(backend.seeds))
    ]
