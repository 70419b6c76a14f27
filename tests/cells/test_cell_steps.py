"""The functional steps against the oracle, value by value, gradients included."""

import numpy as np
import pytest
import torch
from compare import array, assert_gradient, assert_values, rms
from oracle import CELLS as ORACLE
from oracle import random_params

from gatewise.cells import CELLS, gru_step, lstm_step, rnn_step

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
