"""What nobody else defines: NaN, padding, empty sequences, empty batches, half precision."""

import numpy as np
import pytest
import torch
from compare import array
from kernel_cases import build, runs

from gatewise.kernels import backend

CELLS = ["lstm", "lstm_projected", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"]
RUNS = runs()
every_run = pytest.mark.parametrize(("name", "cell"), RUNS)
both_directions = pytest.mark.parametrize("reverse", [False, True])
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def make(
    cell, *, T=5, B=4, lengths="none", reverse=False, dtype=torch.float64, seed=1, keep_c=False, H=6, gain=1.0
):
    case = {
        "cell": cell, "dtype": dtype, "T": T, "B": B, "I": 3, "H": H, "lengths": lengths,
        "reverse": reverse, "bias": True, "strides": "contiguous", "keep_c": keep_c,
    }  # fmt: skip
    return build(case, seed, recurrent_gain=gain)


def outputs(result):
    return {name: t for name, t in result._asdict().items() if t is not None}


def gradients(made, result, cotangent_of_h_seq=None):
    """Gradients of all leaves from all outputs, with fixed cotangents."""
    seeds = {
        n: torch.from_numpy(c).to(made.x.dtype)
        for n, c in made.cotangents._asdict().items()
        if n in outputs(result)
    }
    if cotangent_of_h_seq is not None:
        seeds["h_seq"] = cotangent_of_h_seq
    leaves = made.leaves()
    got = torch.autograd.grad(
        list(outputs(result).values()), list(leaves.values()), [seeds[n] for n in outputs(result)]
    )
    return dict(zip(leaves, got, strict=True))


@every_run
@both_directions
@both_precisions
@pytest.mark.parametrize("ragged", [False, True])
def test_nan_in_the_input_touches_its_row_from_there_on_only(name, cell, reverse, dtype, ragged):
    made = make(cell, reverse=reverse, dtype=dtype)
    made.lengths = torch.tensor([5, 4, 5, 2]) if ragged else None
    t, b = 2, 1
    spoiled = made.x.detach().clone()
    spoiled[t, b, 0] = float("nan")
    spoiled.requires_grad_()
    with backend(name):
        clean, result = made.run(), made.run(spoiled)
    running = torch.arange(5)[:, None] < (torch.full((4,), 5) if made.lengths is None else made.lengths)
    hit = torch.zeros(5, 4, dtype=torch.bool)
    hit[: t + 1 if reverse else 5, b] = True
    if not reverse:
        hit[:t, b] = False
    hit &= running
    assert torch.equal(result.h_seq.isnan().any(-1), hit)
    assert torch.equal(result.h_seq[~hit], clean.h_seq[~hit])
    others = [0, 2, 3]
    assert result.h_n[b].isnan().any() and torch.equal(result.h_n[others], clean.h_n[others])
    if result.c_n is not None:
        assert result.c_n[b].isnan().any() and torch.equal(result.c_n[others], clean.c_n[others])

    cotangent = torch.ones_like(result.h_seq)
    (dx,) = torch.autograd.grad(clean.h_seq, made.x, cotangent)
    (dx_spoiled,) = torch.autograd.grad(result.h_seq, spoiled, cotangent)
    assert torch.equal(dx_spoiled[:, others], dx[:, others])


@every_run
@both_directions
def test_nan_in_an_initial_state_touches_its_row_only(name, cell, reverse):
    made = make(cell, reverse=reverse)
    with backend(name):
        clean = made.run()
        made.h0 = made.h0.detach().clone()
        made.h0[2, 0] = float("nan")
        result = made.run()
    assert result.h_seq[:, 2].isnan().any(-1).all()
    assert torch.equal(result.h_seq[:, [0, 1, 3]], clean.h_seq[:, [0, 1, 3]])
    assert torch.equal(result.h_n[[0, 1, 3]], clean.h_n[[0, 1, 3]])


@every_run
@both_directions
@both_precisions
@pytest.mark.parametrize("keep_c", [False, True])
@pytest.mark.parametrize("lengths", [[3, 0, 5, 1], [4, 4, 2, 2], [0, 0, 0, 0], [3, 3, 3, 3]])
def test_padding_changes_no_bit_of_values_and_gradients(name, cell, reverse, dtype, keep_c, lengths):
    made = make(cell, reverse=reverse, dtype=dtype, keep_c=keep_c)
    made.lengths = torch.tensor(lengths)
    padding = torch.arange(5)[:, None] >= made.lengths
    seen = []
    for fill in (0.0, float("nan"), float("inf")):
        made.x = made.x.detach().masked_fill(padding[..., None], fill).requires_grad_()
        with backend(name):
            result = made.run()
        cotangent = torch.from_numpy(made.cotangents.h_seq).to(dtype).masked_fill(padding[..., None], fill)
        seen.append(
            {**outputs(result), **{f"d{k}": g for k, g in gradients(made, result, cotangent).items()}}
        )
    for filled in seen[1:]:
        for key, value in seen[0].items():
            assert torch.equal(filled[key], value), key
    assert not seen[0]["dx"][padding].any()
    assert not seen[0]["h_seq"][padding].any()


@every_run
@both_directions
@pytest.mark.parametrize("T", [0, 3])
def test_rows_of_no_steps_return_the_initial_state_with_its_gradient(name, cell, reverse, T):
    if T == 0 and name == "aten":
        name = "naive"
    made = make(cell, T=T, reverse=reverse)
    made.lengths = torch.zeros(4, dtype=torch.int64)
    with backend(name):
        result = made.run()
    assert not result.h_seq.any()
    assert torch.equal(result.h_n, made.h0)
    assert result.h_n.data_ptr() != made.h0.data_ptr(), (
        "writing into the final state would change the initial one"
    )
    (dh0,) = torch.autograd.grad(result.h_n, made.h0, torch.full_like(made.h0, 3.0), retain_graph=True)
    assert torch.equal(dh0, torch.full_like(made.h0, 3.0))
    if made.c0 is not None:
        assert torch.equal(result.c_n, made.c0)
        (dc0,) = torch.autograd.grad(result.c_n, made.c0, torch.full_like(made.c0, 2.0))
        assert torch.equal(dc0, torch.full_like(made.c0, 2.0))


@pytest.mark.parametrize("cell", CELLS)
@both_directions
@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
def test_empty_input_runs_by_default_and_every_output_has_a_gradient(cell, reverse, T, B):
    made = make(cell, T=T, B=B, reverse=reverse)
    result = made.run()
    made.check_values(result)
    for key, output in outputs(result).items():
        assert output.requires_grad, key
    sum(output.sum() for output in outputs(result).values()).backward()
    assert torch.equal(made.h0.grad, torch.ones_like(made.h0))


def test_a_sequence_without_steps_does_not_read_the_weights():
    made = make("lstm", T=0)
    made.weights = made.weights._replace(w_hh=torch.full_like(made.weights.w_hh, float("nan")))
    assert torch.equal(made.run().c_n, made.c0)


@every_run
@both_directions
@pytest.mark.parametrize("lengths", ["none", "with_zeros"])
@pytest.mark.parametrize("T", [7, 33])
def test_bfloat16_stays_near_the_oracle(name, cell, reverse, lengths, T):
    made = make(cell, T=T, B=8, H=16, lengths=lengths, reverse=reverse, dtype=torch.bfloat16, gain=0.5)
    with backend(name):
        result = made.run()
    assert all(t.dtype == torch.bfloat16 for t in outputs(result).values())
    made.check_values(result)
    made.check_gradients(result)


@every_run
def test_float16_runs_by_default(name, cell):
    made = make(cell, dtype=torch.float16)
    result = made.run()
    assert result.h_seq.dtype == torch.float16
    assert np.abs(array(result.h_seq) - made.expected.h_seq).max() < 16 * torch.finfo(torch.float16).eps


@every_run
@both_directions
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
def test_nothing_that_is_given_is_changed(name, cell, reverse, lengths):
    made = make(cell, lengths=lengths, reverse=reverse)
    given = [t for t in (*made.leaves().values(), made.lengths) if t is not None]
    before = [t.detach().clone() for t in given]
    random_state = torch.get_rng_state()
    with backend(name):
        result = made.run()
        values = {k: v.detach().clone() for k, v in outputs(result).items()}
        seeds = [torch.ones_like(v) for v in values.values()]
        torch.autograd.grad(list(outputs(result).values()), list(made.leaves().values()), seeds)
    for now, then in zip(given, before, strict=True):
        assert torch.equal(now, then)
    for key, value in outputs(result).items():
        assert torch.equal(value, values[key]), f"{key} changed in the backward pass"
    assert all(torch.equal(s, torch.ones_like(s)) for s in seeds)
    assert torch.equal(torch.get_rng_state(), random_state)


@every_run
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
def test_fifty_repeats_are_equal_bit_for_bit(name, cell, lengths):
    made = make(cell, T=7, B=8, H=16, lengths=lengths, dtype=torch.float32)
    first = None
    for _ in range(50):
        with backend(name):
            result = made.run()
        seen = {**outputs(result), **{f"d{k}": g for k, g in gradients(made, result).items()}}
        first = first or seen
        assert all(torch.equal(value, first[key]) for key, value in seen.items())


@every_run
def test_two_threads_agree_with_one(name, cell):
    made = make(cell, T=7, B=8, H=16, lengths="unsorted")
    torch.set_num_threads(2)
    with backend(name):
        result = made.run()
    made.check_values(result)
    made.check_gradients(result)


@every_run
@pytest.mark.parametrize("lengths", ["none", "with_zeros"])
def test_without_gradients_the_values_are_the_same(name, cell, lengths):
    made = make(cell, lengths=lengths, dtype=torch.float32)
    with backend(name):
        recorded = made.run()
        with torch.no_grad():
            plain = made.run()
        with torch.inference_mode():
            inference = made.run()
    for key, value in outputs(plain).items():
        assert not value.requires_grad
        torch.testing.assert_close(value, outputs(recorded)[key], rtol=2e-6, atol=2e-6)
        assert torch.equal(outputs(inference)[key], value)
    made.check_values(plain)


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_keeps_c_whatever_the_biases(reverse):
    """The padded call holds c still by saturated gates; no bias may outweigh them."""
    made = make("lstm", reverse=reverse, dtype=torch.float32, lengths="long")
    for bias in (made.weights.b_ih, made.weights.b_hh):
        with torch.no_grad():
            bias.mul_(1e6)
    with backend("naive"):
        expected = made.run()
    got = made.run()
    torch.testing.assert_close(got.c_n, expected.c_n)
    torch.testing.assert_close(got.h_seq, expected.h_seq)
