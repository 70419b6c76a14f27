"""Variants over a sequence: masks and seeds, eval, dropped weights, derivatives of every order, low precision."""

import numpy as np
import pytest
import torch
from contract.cases import build, can
from contract.catalogue import VARIANTS
from oracle import masks

from gatewise.cells import Variant
from gatewise.errors import UsageError
from gatewise.kernels import backend

BACKENDS = [b for b in ("naive", "native") if can(b, "lstm")]
every_backend = pytest.mark.parametrize("name", BACKENDS)
RANDOM = [
    *[("lstm", v) for v in VARIANTS if "zoneout" in v or "drop" in v],
    *[
        (cell, v)
        for cell in ("gru", "gru_reset_before", "rnn_tanh", "rnn_relu")
        for v in ("drop_h", "drop_weights")
    ],
]
every_random = pytest.mark.parametrize(("cell", "variant"), RANDOM)


def make(cell, variant, **case):
    return build({"cell": cell, "variant": variant, "T": 6, "keep_c": True, **case}, seed=4)


def run(made, name):
    with backend(name):
        return made.run()


def present(result):
    return [t for t in result[:4] if t is not None]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(present(a), present(b), strict=True))


@every_backend
@every_random
def test_a_seed_says_which_masks(name, cell, variant):
    made = make(cell, variant)
    state = torch.get_rng_state()
    first = run(made, name)
    assert equal(run(made, name), first)
    made.seed = made.seed + 1
    assert not torch.equal(run(made, name).h_seq, first.h_seq)
    made.seed = None
    assert not torch.equal(run(made, name).h_seq, first.h_seq)
    assert torch.equal(torch.get_rng_state(), state)


@every_backend
@every_random
def test_masks_do_not_depend_on_the_other_rows_and_steps(name, cell, variant):
    made = make(cell, variant)
    whole = run(made, name)
    made.lengths = torch.tensor([6, 2, 0, 5])
    ragged = run(made, name)
    for b, n in enumerate([6, 2, 0, 5]):
        torch.testing.assert_close(ragged.h_seq[:n, b], whole.h_seq[:n, b], rtol=1e-13, atol=1e-13)
    made.lengths, made.x, made.h0 = None, made.x[:4, :2], made.h0[:2]
    made.c0 = None if made.c0 is None else made.c0[:2]
    torch.testing.assert_close(run(made, name).h_seq, whole.h_seq[:4, :2], rtol=1e-13, atol=1e-13)


@every_backend
@pytest.mark.parametrize("on", ["h", "g", "weights"])
def test_dropout_in_eval_changes_no_bit(name, on):
    made = make("lstm", "plain")
    plain = run(made, name)
    made.variant = Variant(recurrent_dropout=0.5, recurrent_dropout_on=on)
    assert equal(run(made, name), plain)
    made.variant = Variant()
    made.seed = torch.tensor(7)  # and a plain cell draws nothing
    assert equal(run(made, name), plain)


@every_backend
@pytest.mark.parametrize("cell", ["lstm", "lstm_projected", "gru", "rnn_tanh"])
def test_dropped_weights_are_weights_with_zeros(name, cell):
    made = make(cell, "drop_weights")
    got, w_hh = run(made, name), made.weights.w_hh
    kept = masks.dropout(0.25, int(made.seed), masks.WEIGHTS, 0, np.arange(len(w_hh)), w_hh.shape[1])
    (dropped_gradient,) = torch.autograd.grad(got.h_seq.sum(), w_hh)
    dropped = torch.from_numpy(kept) == 0
    assert dropped.any() and not dropped_gradient[dropped].any()
    made.weights = made.weights._replace(w_hh=(w_hh * torch.from_numpy(kept)).detach().requires_grad_())
    made.variant = Variant()
    plain = run(made, name)
    assert equal(plain, got)
    (gradient,) = torch.autograd.grad(plain.h_seq.sum(), made.weights.w_hh)
    torch.testing.assert_close(dropped_gradient, gradient * torch.from_numpy(kept), rtol=1e-13, atol=1e-13)


@every_backend
def test_units_zoned_out_keep_their_value_to_the_bit(name):
    made = make("lstm", "zoneout")
    made.variant = Variant(zoneout=(0.5, 0.4))
    got = run(made, name)
    for steps, start, p, stream in (
        (got.c_seq, made.c0, 0.5, masks.ZONEOUT_C), (got.h_seq, made.h0, 0.4, masks.ZONEOUT_H),
    ):  # fmt: skip
        before = torch.cat([start[None], steps[:-1]])
        for t in range(6):
            kept = torch.from_numpy(masks.happens(p, int(made.seed), stream, t, np.arange(4), 6)) == 1
            assert kept.any() and (~kept).any()
            assert torch.equal(steps[t][kept], before[t][kept])
            assert (steps[t][~kept] != before[t][~kept]).all()


@every_backend
def test_h_reads_the_zoned_out_c(name):
    made = make("lstm", "zoneout_c")
    made.weights = made.weights._replace(  # o = 1: h is tanh c
        **{k: torch.cat([getattr(made.weights, k)[:18], torch.full_like(getattr(made.weights, k)[18:], v)])
           for k, v in (("w_ih", 0), ("w_hh", 0), ("b_ih", 500), ("b_hh", 500))}
    )  # fmt: skip
    got = run(made, name)
    torch.testing.assert_close(got.h_seq, got.c_seq.tanh(), rtol=1e-13, atol=1e-13)


@every_backend
@pytest.mark.parametrize("variant", ["layer_norm", "coupled_peephole", "drop_weights"])
def test_autocast_takes_the_variants_weights_along(name, variant):
    made = make("lstm", variant, dtype=torch.float32)
    exact = run(made, name)
    with torch.autocast("cpu", torch.bfloat16):
        result = run(made, name)
    assert result.h_seq.dtype == torch.bfloat16
    torch.testing.assert_close(result.h_seq.float(), exact.h_seq, rtol=0.05, atol=0.02)
    gradients = torch.autograd.grad(result.h_seq.float().sum(), list(made.leaves().values()))
    assert all(g.dtype == torch.float32 for g in gradients)


def test_what_a_cell_has_not_is_refused():
    made = make("gru", "plain")
    made.variant = Variant(peephole=True)
    with pytest.raises(UsageError, match="peephole is a variant of the LSTM; a gru cell has none"):
        made.run()
    made = make("lstm_projected", "plain")
    made.variant = Variant(zoneout=(0.0, 0.1))
    with pytest.raises(UsageError, match="keeps units of h, and this layer's h is a projection"):
        made.run()
