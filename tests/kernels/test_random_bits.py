"""The masks' generator: the same numbers as in plain Python integers, and numbers that behave like random ones."""

import math

import numpy as np
import pytest
import torch
from oracle import masks

from gatewise.kernels.random_bits import Stream, bits, events, scales

CPU = torch.device("cpu")
SEEDS = [0, 1, 2, 77, 2**32 - 1, 2**32, 2**61 + 12_345, 2**62 - 1]


def drawn(seed, stream, t, rows, units):
    return bits(torch.tensor(seed), stream, t, rows, units, CPU)


def test_written_out():
    # What a seed means is for good: a change of these numbers changes every run with random variants.
    assert drawn(0, 0, 0, 1, 1).item() == 0x32F15DB3
    assert drawn(1, 0, 0, 1, 1).item() == 0xC7015BD2
    assert drawn(2**62 - 1, 4, 1_000_000, 8, 1500)[7, 1499].item() == 0x00337233


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stream", list(Stream))
def test_the_same_as_in_plain_integers(seed, stream):
    for t in (0, 1, 999_999, 2**33 + 5):
        expected = [[masks.bits(seed, stream, t, b, j) for j in range(5)] for b in range(3)]
        assert drawn(seed, stream, t, 3, 5).tolist() == expected


def test_the_streams_are_those_of_the_oracle():
    for name in ("ZONEOUT_C", "ZONEOUT_H", "DROPOUT_G", "DROPOUT_H", "WEIGHTS"):
        assert Stream[name] == getattr(masks, name)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999_999])
def test_events_are_bits_below_a_threshold(p):
    seed = torch.tensor(5)
    expected = drawn(5, 0, 3, 40, 50) < math.floor(p * 2**32)
    got = events(p, seed, 0, 3, 40, 50, CPU)
    assert got.dtype == torch.bool and torch.equal(got, expected)
    assert got.any() == (p > 0)


def test_scales_are_zero_or_one_over_what_is_kept():
    like = torch.zeros(40, 50, dtype=torch.float64)
    got = scales(0.25, torch.tensor(5), 0, 3, like=like)
    dropped = events(0.25, torch.tensor(5), 0, 3, 40, 50, CPU)
    assert torch.equal(got[dropped], torch.zeros_like(got[dropped]))
    assert torch.equal(got[~dropped], torch.full_like(got[~dropped], 1 / 0.75))
    assert scales(0.25, torch.tensor(5), 0, 3, like=like.bfloat16()).dtype == torch.bfloat16


def test_nothing_of_torchs_own_generator_is_used():
    state = torch.get_rng_state()
    first = drawn(3, 0, 0, 4, 4)
    torch.manual_seed(99)
    assert torch.equal(drawn(3, 0, 0, 4, 4), first)
    torch.set_rng_state(state)


def block(seed=11, stream=0, T=40, B=30, H=100):
    """[T, B, H] bits as numbers in [0, 1)."""
    steps = [drawn(seed, stream, t, B, H) for t in range(T)]
    return torch.stack(steps).double().numpy() / 2**32


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("p", [0.05, 0.5, 0.8])
def test_the_share_of_events_is_their_probability(seed, p):
    values = block(seed)
    share, n = (values < p).mean(), values.size
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("apart", [1, 2, 8])
def test_neighbours_in_time_row_and_unit_are_independent(axis, apart):
    values = block()
    a = np.take(values, range(values.shape[axis] - apart), axis).ravel()
    b = np.take(values, range(apart, values.shape[axis]), axis).ravel()
    assert_independent(a, b)


@pytest.mark.parametrize("other", [{"stream": 1}, {"stream": 3}, {"seed": 12}, {"seed": 11 + 2**32}])
def test_streams_and_seeds_are_independent(other):
    assert_independent(block().ravel(), block(**other).ravel())


def assert_independent(a, b):
    """No correlation, and all cells of an 8 x 8 table of the pairs equally full."""
    n = a.size
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(n)
    table, _, _ = np.histogram2d(a, b, bins=8, range=[[0, 1], [0, 1]])
    assert_uniform(table.ravel())


def assert_uniform(counts):
    """Chi-square within five standard deviations of its mean."""
    expected, freedom = counts.sum() / counts.size, counts.size - 1
    chi = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_every_byte_is_uniform(shift):
    steps = torch.stack([drawn(123, 2, t, 30, 100) for t in range(40)])
    assert_uniform(np.bincount(((steps >> shift) & 255).flatten().numpy(), minlength=256).astype(float))


def test_every_bit_is_fair_and_uncoupled_from_the_others():
    steps = torch.stack([drawn(9, 1, t, 30, 100) for t in range(40)]).flatten()
    flags = np.stack([((steps >> k) & 1).numpy() for k in range(32)]).astype(float)
    n = flags.shape[1]
    assert np.abs(flags.mean(axis=1) - 0.5).max() < 5 * 0.5 / math.sqrt(n)
    between = np.corrcoef(flags) - np.eye(32)
    assert np.abs(between).max() < 5.5 / math.sqrt(n)
