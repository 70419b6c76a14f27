"""`torch.ops.gatewise.recurrence` keeps PyTorch's rules for operators, by PyTorch's own checker."""

import numpy as np
import pytest
import torch
from torch.library import opcheck

from contract.cases import build, can
from contract.catalogue import BACKENDS, CELLS
from gatewise.kernels.operator import needs_gradients

OPERATOR = torch.ops.gatewise.recurrence.default
RULES = ["test_schema", "test_autograd_registration", "test_faketensor"]
SIZES = {"T": 4, "B": 3, "I": 2, "H": 3, "dtype": torch.float32}
PLAIN = [
    {"lengths": "none"},
    {"lengths": "unsorted", "reverse": True, "keep_c": True, "dtype": torch.float64},
    {"dtype": torch.bfloat16, "keep_c": True},
]
VARIED = [{"lengths": "unsorted", "resets": "few"}, {"training": False, "keep_c": True}]


def rounds():
    """(backend, case): every plain cell, and where a backend has them, resets and every variant."""
    for backend, line in BACKENDS.items():
        for cell in (c for c in CELLS.values() if can(backend, c.name)):
            yield from ((backend, case | {"cell": cell.name}) for case in PLAIN)
            if not line.plain_only:
                for variant in cell.variants:
                    yield from ((backend, case | {"cell": cell.name, "variant": variant}) for case in VARIED)


def arguments(example, backend, *, recompute=False, keep=None):
    """What the operator is called with."""
    e = example
    train = needs_gradients(e.x, e.h0, e.c0, e.weights)
    keep = e.keep_c if keep is None else keep
    return (
        e.cell, str(e.variant), e.x, e.h0, e.c0, e.weights.tensors(), e.lengths, e.resets, e.seed,
        e.reverse, keep, train, recompute, backend,
    )  # fmt: skip


def by_cell():
    grouped = {}
    for backend, case in rounds():
        grouped.setdefault((backend, case["cell"]), []).append(case)
    return [
        pytest.param(backend, cases, id=f"{backend}-{cell}") for (backend, cell), cases in grouped.items()
    ]


@pytest.mark.parametrize(("backend", "cases"), by_cell())
def test_schema_autograd_and_shapes(backend, cases):
    for case in cases:
        opcheck(OPERATOR, arguments(build(SIZES | case, seed=2), backend), test_utils=RULES)


def traced():
    """One of each cell in `make test`; all in `make test-all`."""
    for k, (backend, case) in enumerate(rounds()):
        # oneDNN returns memory whose bytes are partly uninitialised: two runs of it differ there.
        onednn = backend == "aten" and case["cell"] == "lstm" and not case.get("keep_c")
        if not onednn:
            first = case.get("lengths") == "unsorted" and not {"resets", "variant"} & case.keys()
            marks = () if first else pytest.mark.thorough
            yield pytest.param(backend, case, id=f"{backend}-{case['cell']}-{k}", marks=marks)


@pytest.mark.parametrize(("backend", "case"), list(traced()))
def test_traced_with_changing_shapes_it_gives_the_same(backend, case):
    example = build(SIZES | case, seed=2)
    tolerance = 2e-2 if example.x.dtype == torch.bfloat16 else 1e-5
    opcheck(
        OPERATOR,
        arguments(example, backend),
        test_utils=["test_aot_dispatch_dynamic"],
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize(
    ("backend", "cell", "variant"),
    [
        pytest.param(backend, cell, variant, marks=() if backend == "native" else pytest.mark.thorough)
        for backend in BACKENDS
        for cell, variant in [("lstm", "plain"), ("lstm", "coupled_norm"), ("gru", "plain")]
        if can(backend, cell) and (variant == "plain" or not BACKENDS[backend].plain_only)
    ],
)
def test_with_recomputation_and_without_gradients(backend, cell, variant):
    case = SIZES | {"cell": cell, "variant": variant, "lengths": "unsorted", "dtype": torch.float64}
    example = build(case, seed=2)
    opcheck(OPERATOR, arguments(example, backend, recompute=True), rtol=1e-9, atol=1e-9)
    for leaf in example.leaves().values():
        leaf.requires_grad_(False)
    opcheck(OPERATOR, arguments(example, backend, keep=True))


@pytest.mark.parametrize("backend", [b for b in BACKENDS if can(b, "lstm")])
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
def test_traced_with_a_workspace_equals_eager(backend, lengths):
    example = build(SIZES | {"lengths": lengths}, seed=2)
    cell, variant, _, _, _, _, *rest = arguments(example, backend)

    def function(x, h0, c0, *weights):
        out = OPERATOR(cell, variant, x, h0, c0, list(weights), *rest)
        return out[0].square().sum() + out[2].sum() + (3 * out[3]).sum()

    leaves = tuple(example.leaves().values())
    eager = function(*leaves)
    traced = torch.compile(function, backend="aot_eager", fullgraph=True)(*leaves)
    torch.testing.assert_close(traced, eager)
    for got, expected in zip(
        torch.autograd.grad(traced, leaves), torch.autograd.grad(eager, leaves), strict=True
    ):
        torch.testing.assert_close(got, expected)


GATED = [
    ("lstm", "plain"), ("lstm_projected", "plain"), ("gru", "plain"), ("gru_reset_before", "plain"),
    ("lstm", "coupled_peephole"), ("lstm", "layer_norm"), ("lstm", "peephole_zoneout_drop_g"),
]  # fmt: skip
RESERVES = [
    (backend, {"cell": cell, "dtype": dtype, "reverse": reverse, "variant": variant})
    for backend in BACKENDS
    for cell, variant in GATED
    if can(backend, cell) and (variant == "plain" or not BACKENDS[backend].plain_only)
    for dtype in (torch.float64, torch.float32)
    for reverse in (False, True)
]


@pytest.mark.parametrize(("backend", "case"), RESERVES, ids=str)
def test_the_reserve_holds_the_activated_gates(backend, case):
    example = build(SIZES | case | {"lengths": "with_zeros", "T": 5, "H": 4, "keep_c": True}, seed=5)
    _, c_seq, _, _, reserve, _ = OPERATOR(*arguments(example, backend))
    names = "rzn" if example.cell.startswith("gru") else "fgo" if example.variant.coupled else "ifgo"
    H = example.weights.hidden_size
    expected = torch.zeros(5, 3, len(names) * H, dtype=torch.float64)
    for t, rows, happened in example.expected.tape.steps:
        expected[t, rows] = torch.from_numpy(np.concatenate([happened[k] for k in names], axis=-1))
    tolerance = 1e-12 if case["dtype"] == torch.float64 else 2e-6
    torch.testing.assert_close(reserve.double(), expected, rtol=tolerance, atol=tolerance)
    if example.c0 is not None:
        c_expected = torch.from_numpy(example.expected.c_seq)
        torch.testing.assert_close(c_seq.double(), c_expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("backend", [b for b in BACKENDS if can(b, "rnn_tanh")])
def test_the_gate_of_a_plain_rnn_is_its_output(backend, cell):
    example = build(SIZES | {"cell": cell, "keep_c": True}, seed=2)
    assert OPERATOR(*arguments(example, backend))[4].numel() == 0
