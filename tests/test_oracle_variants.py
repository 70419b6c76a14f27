"""The oracle's variants, masks and resets: written-out steps, segments run alone, gradients against differences."""

import math
from itertools import pairwise

import numpy as np
import pytest
from oracle import CELLS, Params, Variation, masks, random_params, run, run_backward

ROW = np.array([0])


def scalar_sigmoid(a):
    return 1 / (1 + math.exp(-a))


def scalar_params(gates, **others):
    """One unit, one input; every weight is a number of its own."""
    w, u = np.linspace(0.5, -0.4, gates)[:, None], np.linspace(0.2, 0.7, gates)[:, None]
    return Params(w, u, np.linspace(0.1, 0.4, gates), np.linspace(-0.4, 0.1, gates), **others)


def scalar_run(params, x, h, c, **options):
    out = run("lstm", np.full((1, 1, 1), x), np.full((1, 1), h), np.full((1, 1), c), params, **options)
    return out.h_n[0, 0], out.c_n[0, 0]


def sums(params, x, h):
    return [
        float(w * x + u * h + b + d)
        for w, u, b, d in zip(params.w_ih[:, 0], params.w_hh[:, 0], params.b_ih, params.b_hh, strict=True)
    ]


X, H0, C0 = 0.9, -0.2, 0.35


def test_peepholes_written_out():
    params = scalar_params(4, peephole=np.array([0.3, -0.8, 1.1]))
    i, f, g, o = sums(params, X, H0)
    c = scalar_sigmoid(f - 0.8 * C0) * C0 + scalar_sigmoid(i + 0.3 * C0) * math.tanh(g)
    h = scalar_sigmoid(o + 1.1 * c) * math.tanh(c)
    np.testing.assert_allclose(scalar_run(params, X, H0, C0, variation=Variation(peephole=True)), [h, c])


def test_coupled_gates_with_peepholes_written_out():
    params = scalar_params(3, peephole=np.array([-0.8, 1.1]))
    f, g, o = sums(params, X, H0)
    keep = scalar_sigmoid(f - 0.8 * C0)
    c = keep * C0 + (1 - keep) * math.tanh(g)
    h = scalar_sigmoid(o + 1.1 * c) * math.tanh(c)
    variation = Variation(coupled=True, peephole=True)
    np.testing.assert_allclose(scalar_run(params, X, H0, C0, variation=variation), [h, c])


def test_zoneout_written_out():
    params, seed = scalar_params(4), 5
    i, f, g, o = (math.tanh(a) if k == 2 else scalar_sigmoid(a) for k, a in enumerate(sums(params, X, H0)))
    for p_c, p_h in ((0.3, 0.2), (0.9, 0.9), (0.0, 0.9)):
        c = p_c * C0 + (1 - p_c) * (f * C0 + i * g)
        h = p_h * H0 + (1 - p_h) * o * math.tanh(c)
        variation = Variation(zoneout=(p_c, p_h))
        np.testing.assert_allclose(scalar_run(params, X, H0, C0, variation=variation), [h, c])
        c = C0 if masks.happens(p_c, seed, masks.ZONEOUT_C, 0, ROW, 1)[0, 0] else f * C0 + i * g
        h = H0 if masks.happens(p_h, seed, masks.ZONEOUT_H, 0, ROW, 1)[0, 0] else o * math.tanh(c)
        np.testing.assert_allclose(scalar_run(params, X, H0, C0, variation=variation, seed=seed), [h, c])


def test_layer_normalisation_written_out():
    rng = np.random.default_rng(0)
    params = random_params(rng, 4, 2, 2, layer_norm=True)
    x, h, c = rng.normal(size=2), rng.normal(size=2), rng.normal(size=2)

    def normalised(v):
        mean = sum(v) / len(v)
        variance = sum((a - mean) ** 2 for a in v) / len(v)
        return [(a - mean) / math.sqrt(variance + 1e-5) for a in v]

    of_x, of_h = normalised(params.w_ih @ x), normalised(params.w_hh @ h)
    pre = [
        params.norm_ih[k] * of_x[k] + params.norm_hh[k] * of_h[k] + params.b_ih[k] + params.b_hh[k]
        for k in range(8)
    ]
    new_c = [
        scalar_sigmoid(pre[2 + j]) * c[j] + scalar_sigmoid(pre[j]) * math.tanh(pre[4 + j]) for j in range(2)
    ]
    seen = [params.norm_c[j] * n + params.norm_c_bias[j] for j, n in enumerate(normalised(new_c))]
    new_h = [scalar_sigmoid(pre[6 + j]) * math.tanh(seen[j]) for j in range(2)]
    out = run("lstm", x[None, None], h[None], c[None], params, variation=Variation(layer_norm=True))
    np.testing.assert_allclose([out.h_n[0], out.c_n[0]], [new_h, new_c], rtol=0, atol=1e-14)


@pytest.mark.parametrize("on", ["h", "g", "weights"])
def test_dropout_written_out(on):
    p, seeds = 0.5, range(12)
    params, variation = scalar_params(4), Variation(dropout=p, dropout_on=on)
    seen = set()
    for seed in seeds:
        streams = {"h": masks.DROPOUT_H, "g": masks.DROPOUT_G, "weights": masks.WEIGHTS}
        rows = np.arange(4) if on == "weights" else ROW
        kept = (1 - masks.happens(p, seed, streams[on], 0, rows, 1)) * 2
        u = params.w_hh * (kept if on == "weights" else 1)
        h = H0 * (kept[0, 0] if on == "h" else 1)
        i, f, g, o = sums(params._replace(w_hh=u), X, h)
        g = math.tanh(g) * (kept[0, 0] if on == "g" else 1)
        c = scalar_sigmoid(f) * C0 + scalar_sigmoid(i) * g
        expected = [scalar_sigmoid(o) * math.tanh(c), c]
        np.testing.assert_allclose(
            scalar_run(params, X, H0, C0, variation=variation, seed=seed), expected, rtol=1e-14
        )
        seen.add(tuple(kept.ravel()))
    assert len(seen) > 1
    plain = scalar_run(params, X, H0, C0)
    assert scalar_run(params, X, H0, C0, variation=variation) == plain  # in eval


def example(cell, variation, *, seed=0, bias=True, projection=0, T=4, B=3, inputs=3, hidden=4):
    rng = np.random.default_rng(seed)
    kind = CELLS[cell]
    params = random_params(
        rng, kind.gates - variation.coupled, inputs, hidden, bias=bias, projection=projection,
        peephole=variation.peephole, layer_norm=variation.layer_norm,
    )  # fmt: skip
    x, h0 = rng.normal(size=(T, B, inputs)), rng.normal(size=(B, projection or hidden))
    return x, h0, rng.normal(size=(B, hidden)) if kind.has_c else None, params


CASES = [
    *[(cell, Variation(dropout=0.4, dropout_on=on)) for cell in CELLS for on in ("h", "weights")],
    ("lstm", Variation(dropout=0.4, dropout_on="g")),
    ("lstm", Variation(peephole=True)),
    ("lstm", Variation(coupled=True)),
    ("lstm", Variation(layer_norm=True)),
    ("lstm", Variation(zoneout=(0.3, 0.3))),
    ("lstm", Variation(coupled=True, peephole=True, zoneout=(0.3, 0.2), dropout=0.3)),
    ("lstm", Variation(coupled=True, layer_norm=True, zoneout=(0.3, 0.2), dropout=0.3, dropout_on="g")),
]


@pytest.mark.parametrize(("cell", "variation"), CASES, ids=str)
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(
    ("bias", "projection", "reverse", "lengths"),
    [
        (True, 0, False, None),
        (False, 2, True, [2, 0, 4]),
        pytest.param(True, 2, True, None, marks=pytest.mark.thorough),
        pytest.param(False, 0, False, [2, 0, 4], marks=pytest.mark.thorough),
    ],
)
def test_gradients_against_central_differences(cell, variation, seed, bias, projection, reverse, lengths):
    projection = projection if cell == "lstm" else 0
    if projection:
        variation = variation._replace(zoneout=(variation.zoneout[0], 0.0))
    x, h0, c0, params = example(cell, variation, seed=3, bias=bias, projection=projection)
    rng = np.random.default_rng(4)
    options = {
        "lengths": None if lengths is None else np.array(lengths),
        "reverse": reverse, "variation": variation, "resets": rng.random((4, 3)) < 0.3, "seed": seed,
    }  # fmt: skip
    out = run(cell, x, h0, c0, params, **options)
    seeds = [
        None if a is None else rng.normal(size=a.shape) for a in (out.h_seq, out.h_n, out.c_seq, out.c_n)
    ]

    def value():
        now = run(cell, x, h0, c0, params, **options)
        pairs = zip(seeds, (now.h_seq, now.h_n, now.c_seq, now.c_n), strict=True)
        return sum((s * a).sum() for s, a in pairs if s is not None)

    back = run_backward(out.tape, *seeds)
    inputs, eps = [x, h0, c0, *params], 1e-6
    for array, got in zip(inputs, [back.x, back.h0, back.c0, *back.params], strict=True):
        if array is None:
            assert got is None
            continue
        for index in np.ndindex(array.shape):
            old = array[index]
            array[index] = old + eps
            up = value()
            array[index] = old - eps
            down = value()
            array[index] = old
            assert abs(got[index] - (up - down) / (2 * eps)) < 5e-8


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_cuts_a_row_into_segments(cell, reverse):
    x, h0, c0, params = example(cell, Variation(), T=7, B=2)
    resets, lengths = np.zeros((7, 2), bool), np.array([7, 5])
    resets[[0, 3, 4], 0] = resets[[2, 6], 1] = True
    out = run(cell, x, h0, c0, params, lengths, reverse=reverse, resets=resets)
    for b, cuts in enumerate(([0, 3, 4, 7], [0, 2, 5])):
        for first, last in pairwise(cuts):
            # only what the pass enters first may start from the initial state, unless a segment begins there
            enters = last == cuts[-1] if reverse else first == 0 and not resets[0, b]
            start = [None if s is None else s[b : b + 1] * float(enters) for s in (h0, c0)]
            alone = run(cell, x[first:last, b : b + 1], *start, params, reverse=reverse)
            np.testing.assert_allclose(out.h_seq[first:last, b], alone.h_seq[:, 0], rtol=0, atol=1e-15)
        end = 0 if reverse else cuts[-1] - 1
        np.testing.assert_array_equal(out.h_n[b], out.h_seq[end, b])
