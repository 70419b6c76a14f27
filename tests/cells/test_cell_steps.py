"""The functional steps against the oracle, value by value, gradients included."""

import numpy as np
import pytest
import torch
from compare import array, assert_gradient, assert_values, rms
from oracle import CELLS as ORACLE
from oracle import Variation, random_params
from oracle.variation import Step

from gatewise.cells import CELLS, Norms, gru_step, lstm_step, rnn_step

EXTRA = {"lstm": ("i", "f", "g", "o", "c", "h"), "gru": ("r", "z", "n", "h"), "rnn": ("h",)}


def example(cell, dtype, bias, projection=0, *, B=3, I=4, H=5, seed=0):  # noqa: E741
    """Arguments of a step as tensors with gradients, and what the oracle does with the same numbers."""
    rng = np.random.default_rng(seed)
    kind = ORACLE[cell]
    params = random_params(rng, kind.gates, I, H, bias=bias, projection=projection)
    values = [rng.normal(size=(B, I)), rng.normal(size=(B, projection or H))]
    values += [rng.normal(size=(B, H))] if kind.has_c else []
    tensors = [torch.from_numpy(v).to(dtype).requires_grad_() for v in values]
    weights = [None if p is None else torch.from_numpy(p).to(dtype).requires_grad_() for p in params]
    x, h, *c = [array(t) for t in tensors]
    seen = type(params)(*(None if w is None else array(w) for w in weights))
    return tensors, weights, kind, kind.forward(x, h, c[0] if c else None, seen), seen, rng


CASES = [(cell, 0) for cell in ORACLE] + [("lstm", 2)]


@pytest.mark.parametrize(("cell", "projection"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("B", [0, 1, 3])
def test_a_step_and_its_gradients_equal_the_oracle(cell, projection, dtype, bias, B):
    tensors, weights, kind, happened, seen, rng = example(cell, dtype, bias, projection, B=B)
    given = weights[:5] if cell == "lstm" else weights[:4]
    step = CELLS[cell].step(*tensors, *given)
    assert step._fields == EXTRA[cell.split("_")[0]]
    for name in step._fields:
        assert_values(getattr(step, name), happened[name], name)

    dh = rng.normal(size=happened["h"].shape).astype(np.float32).astype(np.float64)
    dc = rng.normal(size=happened["c"].shape).astype(np.float32).astype(np.float64) if kind.has_c else None
    back = kind.backward(happened, seen, dh, dc)
    expected = [back.x, back.h] + ([back.c] if kind.has_c else []) + [p for p in back.params if p is not None]
    leaves = [*tensors, *(w for w in weights if w is not None)]
    outputs, seeds = [step.h], [torch.from_numpy(dh).to(dtype)]
    if dc is not None:
        outputs, seeds = [*outputs, step.c], [*seeds, torch.from_numpy(dc).to(dtype)]
    got = torch.autograd.grad(outputs, leaves, seeds)
    for k, (gradient, reference) in enumerate(zip(got, expected, strict=True)):
        assert_gradient(gradient, reference, f"argument {k}", rms(expected))


@pytest.mark.parametrize(("cell", "projection"), CASES)
def test_gradcheck_of_a_step(cell, projection):
    tensors, weights, *_ = example(cell, torch.float64, True, projection, B=2, I=2, H=2 + projection)
    present = [w for w in weights if w is not None]
    assert torch.autograd.gradcheck(
        lambda *leaves: tuple(CELLS[cell].step(*leaves)), (*tensors, *present), eps=1e-6, atol=1e-8, rtol=0
    )


STRUCTURES = [
    Variation(peephole=True),
    Variation(coupled=True),
    Variation(coupled=True, peephole=True),
    Variation(layer_norm=True),
    Variation(coupled=True, layer_norm=True),
]


@pytest.mark.parametrize("variation", [Variation(), *STRUCTURES], ids=str)
@pytest.mark.parametrize("masks", ["none", "drop_h", "drop_g", "zoneout", "expected zoneout", "all"])
@pytest.mark.parametrize("projection", [0, 3])
def test_a_varied_lstm_step_and_its_gradients_equal_the_oracle(variation, masks, projection):
    rng = np.random.default_rng(1)
    B, I, H = 3, 4, 6  # noqa: E741
    params = random_params(
        rng, 4 - variation.coupled, I, H, projection=projection,
        peephole=variation.peephole, layer_norm=variation.layer_norm,
    )  # fmt: skip
    P = projection or H
    values = [rng.normal(size=(B, I)), rng.normal(size=(B, P)), rng.normal(size=(B, H))]
    tensors = [torch.from_numpy(v).requires_grad_() for v in values]
    weights = [None if p is None else torch.from_numpy(p).requires_grad_() for p in params]

    def zones(width):
        return torch.from_numpy(rng.random((B, width)) < 0.4)

    options, step = {}, Step(variation)
    if masks in ("drop_h", "all"):
        options["drop_h"] = (~zones(P)).double() / 0.6
        step = step._replace(drop_h=array(options["drop_h"]))
    if masks in ("drop_g", "all"):
        options["drop_g"] = (~zones(H)).double() / 0.6
        step = step._replace(drop_g=array(options["drop_g"]))
    if masks in ("zoneout", "all"):
        options["zoneout"] = zones(H), zones(P)
        step = step._replace(keep_c=array(options["zoneout"][0]), keep_h=array(options["zoneout"][1]))
    if masks == "expected zoneout":
        options["zoneout"] = 0.4, 0.3
        step = step._replace(keep_c=0.4, keep_h=0.3)
    _, _, _, _, _, peephole, *norms = weights
    got = lstm_step(
        *tensors, *weights[:5], coupled=variation.coupled, peephole=peephole,
        norms=Norms(*norms) if variation.layer_norm else None, **options,
    )  # fmt: skip
    happened = ORACLE["lstm"].forward(*values, params, step)
    for name in got._fields:
        assert_values(getattr(got, name), happened[name], name)
    dh, dc = rng.normal(size=(B, P)), rng.normal(size=(B, H))
    back = ORACLE["lstm"].backward(happened, params, dh, dc, step)
    leaves = [*tensors, *(w for w in weights if w is not None)]
    found = torch.autograd.grad([got.h, got.c], leaves, [torch.from_numpy(dh), torch.from_numpy(dc)])
    expected = [back.x, back.h, back.c, *(p for p in back.params if p is not None)]
    for k, (gradient, reference) in enumerate(zip(found, expected, strict=True)):
        assert_gradient(gradient, reference, f"argument {k}")


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before", "rnn_tanh", "rnn_relu"])
def test_dropped_units_of_h_are_seen_by_the_products_only(cell):
    tensors, weights, kind, _, seen, rng = example(cell, torch.float64, True)
    drop = torch.from_numpy(rng.random((3, 5)) < 0.6).double() / 0.6
    step = CELLS[cell].step(*tensors, *weights[:4], drop_h=drop)
    oracle_step = Step(drop_h=array(drop))
    happened = kind.forward(array(tensors[0]), array(tensors[1]), None, seen, oracle_step)
    for name in step._fields:
        assert_values(getattr(step, name), happened[name], name)
    dh = rng.normal(size=(3, 5))
    back = kind.backward(happened, seen, dh, None, oracle_step)
    found = torch.autograd.grad(step.h, [*tensors, *weights[:4]], torch.from_numpy(dh))
    for k, (gradient, reference) in enumerate(zip(found, [back.x, back.h, *back.params[:4]], strict=True)):
        assert_gradient(gradient, reference, f"argument {k}")


def test_a_coupled_cell_writes_what_it_forgets():
    (x, h, c), weights, *_ = example("lstm", torch.float64, True)
    rows = [None if w is None else w[5:] for w in weights[:4]]  # without those of i
    step = lstm_step(x, h, c, *rows, coupled=True)
    assert torch.equal(step.i, 1 - step.f)
    low, high = torch.minimum(c, step.g), torch.maximum(c, step.g)
    assert ((low <= step.c) & (step.c <= high)).all()


def test_a_normalised_cell_carries_the_raw_c():
    rng = np.random.default_rng(2)
    params = random_params(rng, 4, 4, 5, layer_norm=True)
    weights = [None if p is None else torch.from_numpy(p) for p in params]
    x, h, c = (torch.from_numpy(rng.normal(size=(3, n))) for n in (4, 5, 5))
    step = lstm_step(x, h, c, *weights[:5], norms=Norms(*weights[6:]))
    torch.testing.assert_close(step.c, step.f * c + step.i * step.g, rtol=1e-15, atol=1e-15)


def test_the_catalogue_names_what_the_steps_compute():
    assert list(CELLS) == ["lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"]
    for name, cell in CELLS.items():
        assert cell.name == name
        assert len(cell.gates) == ORACLE[name].gates
        assert cell.has_c == ORACLE[name].has_c
        tensors, weights, *_ = example(name, torch.float64, True)
        assert set(cell.gates) <= set(cell.step(*tensors, *weights[:4])._fields)


def test_catalogue_steps_are_the_public_functions():
    (x, h, c), weights, *_ = example("lstm", torch.float64, True)
    assert torch.equal(CELLS["lstm"].step(x, h, c, *weights[:4]).h, lstm_step(x, h, c, *weights[:4]).h)
    (x, h), weights, *_ = example("gru", torch.float64, True)
    for name, after in (("gru", True), ("gru_reset_before", False)):
        assert torch.equal(
            CELLS[name].step(x, h, *weights[:4]).h, gru_step(x, h, *weights[:4], reset_after=after).h
        )
    (x, h), weights, *_ = example("rnn_tanh", torch.float64, True)
    for name in ("tanh", "relu"):
        expected = rnn_step(x, h, *weights[:4], nonlinearity=name).h
        assert torch.equal(CELLS[f"rnn_{name}"].step(x, h, *weights[:4]).h, expected)


def test_saturated_gates_pass_the_extremes_through():
    one = torch.ones(1, 1, dtype=torch.float64)
    keep = torch.tensor([-1e3, 1e3, 0.7, 1e3], dtype=torch.float64)  # i shut, f open, o open
    zero = torch.zeros(4, 1, dtype=torch.float64)
    step = lstm_step(one, one, 5 * one, zero, zero, keep, torch.zeros(4, dtype=torch.float64))
    assert step.c.item() == 5.0 and step.h.item() == np.tanh(5.0)
    hold = torch.tensor([0.0, 1e3, 0.3], dtype=torch.float64)  # z open: the old state stays
    zero = torch.zeros(3, 1, dtype=torch.float64)
    assert gru_step(one, -3 * one, zero, zero, hold, torch.zeros(3, dtype=torch.float64)).h.item() == -3.0
