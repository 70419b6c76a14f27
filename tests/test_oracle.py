"""The oracle's own tests: written-out steps, invariants, and gradients against central differences."""

import math

import numpy as np
import pytest
from oracle import CELLS, Params, random_params, run, run_backward, stack, stack_backward


def scalar_sigmoid(a):
    return 1 / (1 + math.exp(-a))


def test_lstm_step_written_out():
    # one unit, one input; every gate has its own numbers
    w, u, b, bb = [0.5, -0.3, 0.8, 0.1], [0.2, 0.4, -0.6, 0.7], [0.1, 0.2, 0.3, 0.4], [-0.4, 0.3, 0.2, 0.1]
    x, h, c = 0.9, -0.2, 0.35
    i, f, g, o = (w[k] * x + u[k] * h + b[k] + bb[k] for k in range(4))
    new_c = scalar_sigmoid(f) * c + scalar_sigmoid(i) * math.tanh(g)
    new_h = scalar_sigmoid(o) * math.tanh(new_c)
    params = Params(np.array(w)[:, None], np.array(u)[:, None], np.array(b), np.array(bb))
    out = run("lstm", np.full((1, 1, 1), x), np.full((1, 1), h), np.full((1, 1), c), params)
    np.testing.assert_allclose([out.h_n[0, 0], out.c_n[0, 0]], [new_h, new_c], rtol=0, atol=1e-15)


def test_lstm_projection_written_out():
    params = random_params(np.random.default_rng(0), 4, 2, 3, projection=2)
    rng = np.random.default_rng(1)
    x, h, c = rng.normal(size=(1, 1, 2)), rng.normal(size=(1, 2)), rng.normal(size=(1, 3))
    a = params.w_ih @ x[0, 0] + params.w_hh @ h[0] + params.b_ih + params.b_hh
    new_c = [
        scalar_sigmoid(a[3 + j]) * c[0, j] + scalar_sigmoid(a[j]) * math.tanh(a[6 + j]) for j in range(3)
    ]
    read = [scalar_sigmoid(a[9 + j]) * math.tanh(new_c[j]) for j in range(3)]
    new_h = [sum(params.w_hr[p, j] * read[j] for j in range(3)) for p in range(2)]
    out = run("lstm", x, h, c, params)
    np.testing.assert_allclose(out.c_n[0], new_c, rtol=0, atol=1e-15)
    np.testing.assert_allclose(out.h_n[0], new_h, rtol=0, atol=1e-15)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_step_written_out(reset_after):
    w, u, b, bb = [0.5, -0.3, 0.8], [0.2, 0.4, -0.6], [0.1, 0.2, 0.3], [-0.4, 0.3, 0.7]
    x, h = 0.9, -0.2
    r, z = (scalar_sigmoid(w[k] * x + u[k] * h + b[k] + bb[k]) for k in range(2))
    recurrent = r * (u[2] * h + bb[2]) if reset_after else u[2] * (r * h) + bb[2]
    n = math.tanh(w[2] * x + b[2] + recurrent)
    params = Params(np.array(w)[:, None], np.array(u)[:, None], np.array(b), np.array(bb))
    cell = "gru" if reset_after else "gru_reset_before"
    out = run(cell, np.full((1, 1, 1), x), np.full((1, 1), h), None, params)
    assert abs(out.h_n[0, 0] - ((1 - z) * n + z * h)) < 1e-15


def test_rnn_steps_written_out():
    params = Params(
        np.array([[2.0], [-2.0]]), np.array([[0.5, 0.25], [1.0, -1.0]]), np.array([0.1, 0.2]), np.zeros(2)
    )
    x, h = np.full((1, 1, 1), 0.3), np.array([[0.4, -0.8]])
    pre = [0.6 + 0.2 - 0.2 + 0.1, -0.6 + 0.4 + 0.8 + 0.2]
    np.testing.assert_allclose(run("rnn_tanh", x, h, None, params).h_n[0], np.tanh(pre), rtol=0, atol=1e-15)
    np.testing.assert_allclose(run("rnn_relu", x, h, None, params).h_n[0], pre, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(
        run("rnn_relu", -x, -h, None, Params(params.w_ih, params.w_hh)).h_n, [[0.0, 0.0]]
    )


def example(cell, *, seed=0, bias=True, projection=0, T=4, B=3, inputs=2, hidden=3):
    rng = np.random.default_rng(seed)
    kind = CELLS[cell]
    params = random_params(rng, kind.gates, inputs, hidden, bias=bias, projection=projection)
    x = rng.normal(size=(T, B, inputs))
    h0 = rng.normal(size=(B, projection or hidden))
    c0 = rng.normal(size=(B, hidden)) if kind.has_c else None
    return x, h0, c0, params


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_ragged_batch_equals_each_row_alone(cell, reverse):
    x, h0, c0, params = example(cell, T=5, B=4)
    lengths = np.array([3, 0, 5, 1])
    out = run(cell, x, h0, c0, params, lengths, reverse=reverse)
    for b, n in enumerate(lengths):
        row_x = x[:n, b : b + 1]
        if reverse:
            row_x = row_x[::-1]
        alone = run(cell, row_x, h0[b : b + 1], None if c0 is None else c0[b : b + 1], params)
        h_seq = alone.h_seq[::-1] if reverse else alone.h_seq
        np.testing.assert_allclose(out.h_seq[:n, b], h_seq[:, 0], rtol=0, atol=1e-15)
        assert not out.h_seq[n:, b].any()
        np.testing.assert_allclose(out.h_n[b], alone.h_n[0], rtol=0, atol=1e-15)
        if c0 is not None:
            np.testing.assert_allclose(out.c_n[b], alone.c_n[0], rtol=0, atol=1e-15)


def central_differences(function, arrays, eps=1e-6):
    """dfunction/darray for every array, one entry at a time, changed in place and put back."""
    grads = []
    for array in arrays:
        grad = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            old = array[index]
            array[index] = old + eps
            up = function()
            array[index] = old - eps
            down = function()
            array[index] = old
            grad[index] = (up - down) / (2 * eps)
        grads.append(grad)
    return grads


def present(*arrays):
    return [a for a in arrays if a is not None]


CASES = [(cell, 0) for cell in CELLS] + [("lstm", 2)]


@pytest.mark.parametrize(("cell", "projection"), CASES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 0, 4]])
def test_gradients_against_central_differences(cell, projection, bias, reverse, lengths):
    x, h0, c0, params = example(cell, seed=3, bias=bias, projection=projection)
    lengths = None if lengths is None else np.array(lengths)
    out = run(cell, x, h0, c0, params, lengths, reverse=reverse)
    rng = np.random.default_rng(4)
    seeds = [
        None if a is None else rng.normal(size=a.shape) for a in (out.h_seq, out.h_n, out.c_seq, out.c_n)
    ]

    def value():
        now = run(cell, x, h0, c0, params, lengths, reverse=reverse)
        pairs = zip(seeds, (now.h_seq, now.h_n, now.c_seq, now.c_n), strict=True)
        return sum((s * a).sum() for s, a in pairs if s is not None)

    back = run_backward(out.tape, *seeds)
    got = present(back.x, back.h0, back.c0, *back.params)
    expected = central_differences(value, present(x, h0, c0, *params))
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=0, atol=2e-8)


@pytest.mark.parametrize(("cell", "projection"), CASES)
@pytest.mark.parametrize("directions", [1, 2])
def test_stack_gradients_against_central_differences(cell, projection, directions):
    rng = np.random.default_rng(5)
    T, B, inputs, hidden, layers = 3, 2, 2, 3, 2
    width = projection or hidden
    kind = CELLS[cell]
    params = [
        random_params(
            rng, kind.gates, inputs if k < directions else width * directions, hidden, projection=projection
        )
        for k in range(layers * directions)
    ]
    x = rng.normal(size=(T, B, inputs))
    h0 = rng.normal(size=(len(params), B, width))
    c0 = rng.normal(size=(len(params), B, hidden)) if kind.has_c else None
    lengths = np.array([3, 1])
    out = stack(cell, x, h0, c0, params, lengths, directions=directions)
    assert out.output.shape == (T, B, width * directions)
    seeds = [None if a is None else rng.normal(size=a.shape) for a in (out.output, out.h_n, out.c_n)]

    def value():
        now = stack(cell, x, h0, c0, params, lengths, directions=directions)
        pairs = zip(seeds, (now.output, now.h_n, now.c_n), strict=True)
        return sum((s * a).sum() for s, a in pairs if s is not None)

    back = stack_backward(out, *seeds)
    got = present(back.x, back.h0, back.c0, *(a for p in back.params for a in present(*p)))
    expected = central_differences(value, present(x, h0, c0, *(a for p in params for a in present(*p))))
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=0, atol=2e-8)


@pytest.mark.parametrize("cell", CELLS)
def test_no_steps_leave_the_initial_state(cell):
    x, h0, c0, params = example(cell, T=0)
    out = run(cell, x, h0, c0, params)
    assert out.h_seq.shape == (0, *h0.shape)
    np.testing.assert_array_equal(out.h_n, h0)
    back = run_backward(out.tape, out.h_seq, np.ones_like(h0))
    np.testing.assert_array_equal(back.h0, np.ones_like(h0))
    assert not any(p.any() for p in back.params if p is not None)
