"""NaN, infinity and the smallest numbers: they stay where they belong, and the processor's settings are given back."""

import numpy as np
import pytest
import torch
from kernel_cases import VARIANTS
from native_cases import CELLS, LSTMS, assert_equal_bits, make, native_only, run, threads
from pairwise import case_id, many

from gatewise.kernels import backend

FACTORS = {
    "cell": CELLS,
    "H": [1, 16, 19, 40],
    "reverse": [False, True],
    "dtype": [torch.float32, torch.float64, torch.bfloat16],
    "lengths": ["none", "unsorted", "with_zeros", "all_equal"],
    "resets": ["none", "few", "many"],
    "keep_c": [False, True],
    "variant": ["plain", "drop_h", "drop_weights"],
    "training": [False, True],
}
FIXED = {"T": 8, "B": 5, "I": 4}
CASES = many(FACTORS, rounds=1) + many({**FACTORS, "cell": LSTMS, "variant": list(VARIANTS)}, rounds=1)
every_case = pytest.mark.parametrize("k", range(len(CASES)), ids=lambda k: case_id(CASES[k]))

pytestmark = native_only


def lengths_of(made):
    T, B, _ = made.x.shape
    return torch.full((B,), T) if made.lengths is None else made.lengths


def segments(made):
    """[T, B]: the number of the segment that a step stands in."""
    if made.resets is None:
        return torch.zeros(made.x.shape[:2], dtype=torch.int64)
    return made.resets.cumsum(0)


def spoil(made, where, value):
    """x with this value in the first feature at the places [T, B] that are True."""
    made.x = made.x.detach().clone()
    made.x[..., 0][where] = value
    made.x.requires_grad_()


@every_case
def test_nan_touches_its_row_from_its_step_to_the_end_of_the_segment(k):
    made = make(seed=k, **CASES[k], **FIXED)
    T, B, _ = made.x.shape
    at, row = 3, 2
    t, length, segment = torch.arange(T)[:, None], lengths_of(made), segments(made)
    place = (t == at) & (torch.arange(B) == row)
    running = t < length
    after = t <= at if made.reverse else t >= at
    hit = after & running & (torch.arange(B) == row) & (segment == segment[at, row]) & (length[row] > at)
    clean, clean_gradients = run(made)
    spoil(made, place, torch.nan)
    spoiled, gradients = run(made)
    assert torch.equal(spoiled["h_seq"].isnan().any(-1), hit)
    for name in {"h_seq", "c_seq"} & clean.keys():
        assert torch.equal(spoiled[name][~hit], clean[name][~hit]), name
    others = torch.arange(B) != row
    last = 0 if made.reverse else int(length[row]) - 1
    for name in {"h_n", "c_n"} & clean.keys():
        assert torch.equal(spoiled[name][others], clean[name][others]), name
        assert bool(spoiled[name][row].isnan().any()) == bool(length[row] > 0 and hit[last, row]), name
    outside = segment != segment[at, row] if length[row] > at else torch.ones(T, B, dtype=torch.bool)
    outside[:, others] = True
    assert torch.equal(gradients["x"][outside], clean_gradients["x"][outside])
    for name in {"h0", "c0"} & gradients.keys():
        assert torch.equal(gradients[name][others], clean_gradients[name][others]), name


@every_case
def test_padding_changes_no_bit(k):
    made = make(seed=k, **CASES[k], **FIXED)
    padding = torch.arange(FIXED["T"])[:, None] >= lengths_of(made)
    expected = None
    for fill in (0.0, torch.nan, torch.inf):
        spoil(made, padding, fill)
        for name in ("h_seq", "c_seq"):
            cotangent = getattr(made.cotangents, name)
            if cotangent is not None:
                cotangent[padding.numpy()] = fill
        if made.resets is not None:
            made.resets[padding] = fill == 0
        values, gradients = run(made)
        seen = values | {f"d{name}": g for name, g in gradients.items()}
        expected = expected or seen
        assert_equal_bits(seen, expected, f"with {fill} in the padding")
    assert not expected["dx"][padding].any() and not expected["h_seq"][padding].any()


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_an_infinite_input_gives_what_it_gives_in_plain_pytorch(cell, reverse, value):
    made = make(cell=cell, reverse=reverse, lengths="unsorted", keep_c=True, **FIXED)
    place = torch.zeros(FIXED["T"], FIXED["B"], dtype=torch.bool)
    place[1, 1] = place[2, 3] = True
    spoil(made, place, value)
    (values, gradients), (naive_values, naive_gradients) = run(made), run(made, "naive")
    for name, tensor in values.items():
        torch.testing.assert_close(tensor, naive_values[name], equal_nan=True, rtol=1e-5, atol=1e-6)
    if cell != "rnn_relu":  # it hands the infinity on, and whether 0 * inf comes up is a matter of order
        for name in {"x", "h0", "c0"} & gradients.keys():
            torch.testing.assert_close(
                gradients[name], naive_gradients[name], equal_nan=True, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("which", ["h0", "c0"])
@pytest.mark.parametrize("cell", CELLS)
def test_an_infinite_state_stays_in_its_row(cell, which):
    made = make(cell=cell, lengths="unsorted", keep_c=True, **FIXED)
    if getattr(made, which) is None:
        return
    clean, clean_gradients = run(made)
    spoiled = getattr(made, which).detach().clone()
    spoiled[1, 0] = torch.inf
    setattr(made, which, spoiled.requires_grad_())
    values, gradients = run(made)
    others = [0, 2, 3, 4]
    for name in {"h_seq", "c_seq"} & values.keys():
        assert torch.equal(values[name][:, others], clean[name][:, others])
    assert torch.equal(values["h_n"][others], clean["h_n"][others])
    assert torch.equal(gradients["x"][:, others], clean_gradients["x"][:, others])
    if which == "c0":
        assert values["c_seq"][0, 1, 0] == torch.inf and values["h_seq"][0, 1].isfinite().all()


def denormals_live():
    """Whether this thread and PyTorch's others, and NumPy, have numbers below the smallest normal one."""
    torch_ones = torch.full((400_000,), 1e-38) * 0.01
    return bool((torch_ones > 0).all()) and bool(
        (np.full(64, 1e-38, np.float32) * np.float32(0.01) > 0).all()
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_processor_is_left_as_it_was(cell, count):
    with threads(count):
        assert denormals_live()
        run(make(cell=cell))
        assert denormals_live()
        assert torch.set_flush_denormal(True)
        try:
            run(make(cell=cell))
            assert float(torch.tensor([1e-38]) * 0.01) == 0
        finally:
            torch.set_flush_denormal(False)


def test_denormals_are_zero_inside():
    """(They cost a hundred times as much.)"""
    made = make(cell="rnn_relu", H=1, I=1, bias=False, T=1, B=4)
    made.x = torch.full((1, 4, 1), 1e-39, requires_grad=True)
    made.h0 = torch.zeros(4, 1, requires_grad=True)
    made.weights = made.weights._replace(w_ih=torch.ones(1, 1), w_hh=torch.zeros(1, 1))
    with backend("native"):
        assert not made.run().h_n.any()


@pytest.mark.parametrize("value", [2e-38, 1.5e-30, -3e-38])
def test_the_smallest_normal_numbers_come_through(value):
    made = make(cell="rnn_tanh", H=3, I=1, bias=False, T=5, B=2)
    made.x = torch.full((5, 2, 1), value, requires_grad=True)
    made.h0 = torch.zeros(2, 3, requires_grad=True)
    made.weights = made.weights._replace(w_ih=torch.ones(3, 1), w_hh=torch.zeros(3, 3))
    with backend("native"):
        h_seq = made.run().h_seq
    torch.testing.assert_close(h_seq, made.x.expand(5, 2, 3), rtol=1e-6, atol=0)
