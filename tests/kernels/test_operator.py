"""`torch.ops.gatewise.recurrence` keeps PyTorch's rules for operators: schema, fake tensors, autograd."""

import numpy as np
import pytest
import torch
from kernel_cases import VARIANTS, build, can
from oracle import random_params
from torch.library import opcheck

from gatewise.cells import Variant
from gatewise.kernels import Weights
from gatewise.kernels.operator import needs_gradients

OPERATOR = torch.ops.gatewise.recurrence.default
BACKENDS = ("naive", "aten", "native")
CELLS = ["lstm", "lstm_projected", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"]
PLAIN = {
    "cell": "lstm", "dtype": torch.float32, "T": 4, "B": 3, "I": 2, "H": 3, "lengths": "none", "reverse": False,
    "bias": True, "strides": "contiguous", "keep_c": False, "variant": "plain", "resets": "none", "training": True,
}  # fmt: skip


def made(seed=2, **case):
    return build({**PLAIN, **case}, seed=seed)


def arguments(example, backend, *, recompute=False, keep=None):
    """What the operator is called with."""
    e = example
    train = needs_gradients(e.x, e.h0, e.c0, e.weights)
    keep = e.keep_c if keep is None else keep
    return (
        e.cell, str(e.variant), e.x, e.h0, e.c0, e.weights.tensors(), e.lengths, e.resets, e.seed,
        e.reverse, keep, train, recompute, backend,
    )  # fmt: skip


def pairs(cases):
    return [(b, case) for case in cases for b in BACKENDS if can(b, {**PLAIN, **case})]


def name(value):
    return (
        value if isinstance(value, str) else "-".join(str(v).removeprefix("torch.") for v in value.values())
    )


ROUNDS = [
    *[{"cell": cell, "lengths": lengths} for cell in CELLS for lengths in ("none", "unsorted")],
    *[
        {"cell": cell, "lengths": "unsorted", "reverse": True, "keep_c": True, "dtype": torch.float64, "resets": resets}
        for cell in CELLS
        for resets in ("none", "few")
    ],
    *[{"variant": variant, "resets": "few", "lengths": "unsorted"} for variant in VARIANTS],
    {"variant": "norm_zoneout_drop_h", "training": False, "keep_c": True},
    {"dtype": torch.bfloat16}, {"dtype": torch.bfloat16, "keep_c": True, "variant": "zoneout"},
]  # fmt: skip


@pytest.mark.parametrize(("backend", "case"), pairs(ROUNDS), ids=name)
def test_opcheck(backend, case):
    example = made(**case)
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    onednn = backend == "aten" and example.cell == "lstm" and not example.keep_c
    if not (onednn and example.x.dtype != torch.float64 and example.weights.w_hr is None):
        tests.append(
            "test_aot_dispatch_dynamic"
        )  # oneDNN returns memory whose bytes are partly uninitialised
    tolerance = 2e-2 if example.x.dtype == torch.bfloat16 else 1e-5
    opcheck(OPERATOR, arguments(example, backend), test_utils=tests, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("backend", "case"), pairs([{}, {"variant": "coupled_norm"}, {"cell": "gru"}]), ids=name
)
def test_opcheck_with_recomputation_and_without_gradients(backend, case):
    example = made(**case, lengths="unsorted", dtype=torch.float64)
    opcheck(OPERATOR, arguments(example, backend, recompute=True), rtol=1e-9, atol=1e-9)
    for leaf in example.leaves().values():
        leaf.requires_grad_(False)
    opcheck(OPERATOR, arguments(example, backend, keep=True))


@pytest.mark.parametrize("backend", [b for b in BACKENDS if can(b, PLAIN)])
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
def test_traced_with_a_workspace_equals_eager(backend, lengths):
    example = made(lengths=lengths)
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


RESERVES = [
    {"cell": cell, "dtype": dtype, "reverse": reverse, "variant": variant}
    for cell, variant in [
        ("lstm", "plain"), ("lstm_projected", "plain"), ("gru", "plain"), ("gru_reset_before", "plain"),
        ("lstm", "coupled_peephole"), ("lstm", "layer_norm"), ("lstm", "peephole_zoneout_drop_g"),
    ]
    for dtype in (torch.float64, torch.float32)
    for reverse in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("backend", "case"), pairs(RESERVES), ids=name)
def test_the_reserve_holds_the_activated_gates(backend, case):
    example = made(seed=5, **case, lengths="with_zeros", T=5, H=4, keep_c=True)
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


@pytest.mark.parametrize(("backend", "case"), pairs([{"cell": "rnn_tanh"}, {"cell": "rnn_relu"}]), ids=name)
def test_the_gate_of_a_plain_rnn_is_its_output(backend, case):
    assert OPERATOR(*arguments(made(**case, keep_c=True), backend))[4].numel() == 0


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("projection", [0, 2])
def test_the_list_of_weights_says_which_they_are(layer_norm, peephole, coupled, bias, projection):
    if layer_norm and peephole:
        return
    params = random_params(
        np.random.default_rng(0), 4 - coupled, 3, 5, bias=bias, projection=projection,
        peephole=peephole, layer_norm=layer_norm,
    )  # fmt: skip
    weights = Weights(*(None if p is None else torch.from_numpy(p) for p in params))
    variant = Variant(layer_norm, peephole, coupled, recurrent_dropout=0.1)
    again = Weights.from_tensors(weights.tensors(), variant)
    assert all(a is b for a, b in zip(again, weights, strict=True))
    assert weights.hidden_size == again.hidden_size == 5
