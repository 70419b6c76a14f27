"""Batches: every index once, little padding, an order that the generator decides; padding time first."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.batches import bucketed_batches, pad_ids, pad_values
from gatewise.errors import UsageError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_without_a_generator_sorted_by_length():
    assert bucketed_batches([5, 1, 3, 1, 9], 2) == [[1, 3], [2, 0], [4]]
    assert bucketed_batches([], 2) == []
    assert bucketed_batches([], 2, seeded(0)) == []


@given(
    st.lists(st.integers(0, 30), max_size=300), st.integers(1, 7), st.one_of(st.none(), st.integers(0, 99))
)
def test_every_index_is_in_exactly_one_batch(lengths, size, seed):
    batches = bucketed_batches(lengths, size, None if seed is None else seeded(seed))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(lengths) // size)


def test_the_seed_decides_the_order_and_the_generator_moves_on():
    lengths = list(range(1000))
    generator = seeded(3)
    first, second = bucketed_batches(lengths, 4, generator), bucketed_batches(lengths, 4, generator)
    assert first == bucketed_batches(lengths, 4, seeded(3))
    assert first != second
    assert first != bucketed_batches(lengths, 4, seeded(4))


def test_within_a_pool_the_batches_are_neighbours_in_length():
    # 100 sequences in batches of 2 are one pool of 50 batches: each batch holds two neighbours of the sorted order.
    lengths = torch.randperm(100, generator=seeded(1)).tolist()
    batches = bucketed_batches(np.array(lengths), 2, seeded(2))
    pairs = sorted(tuple(lengths[index] for index in batch) for batch in batches)
    assert pairs == [(n, n + 1) for n in range(0, 100, 2)]
    assert [lengths[batch[0]] for batch in batches] != list(range(0, 100, 2))


def test_a_second_pool_starts_after_fifty_batches():
    # 102 sequences: a pool of 100 and one of 2; the pair of the second pool is drawn from all lengths.
    lengths = list(range(102))
    batches = bucketed_batches(torch.arange(102), 2, seeded(5))
    drawn = torch.randperm(102, generator=seeded(5)).tolist()
    assert sorted(drawn[100:]) in batches
    rest = sorted(set(lengths) - set(drawn[100:]))
    assert sorted(batch for batch in batches if batch != sorted(drawn[100:])) == [
        rest[n : n + 2] for n in range(0, 100, 2)
    ]


def test_ids_are_padded_time_first():
    padded, lengths = pad_ids(
        [np.array([4, 5, 6], np.int32), np.array([], np.int32), np.array([7], np.int32)]
    )
    assert padded.tolist() == [[4, 0, 7], [5, 0, 0], [6, 0, 0]]
    assert lengths.tolist() == [3, 0, 1]
    assert (padded.dtype, lengths.dtype, padded.is_contiguous()) == (torch.int64, torch.int64, True)
    assert [tuple(one.shape) for one in pad_ids([])] == [(0, 0), (0,)]


def test_values_are_padded_time_first():
    padded, lengths = pad_values([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])])
    assert padded.tolist() == [[[1, 2], [3, 4]], [[0, 0], [5, 6]]]
    assert lengths.tolist() == [1, 2]
    assert (padded.dtype, lengths.dtype) == (torch.float32, torch.int64)


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(UsageError, match="batch_size is 0; it must be 1 at least"):
        bucketed_batches([1], 0)
    with pytest.raises(
        UsageError, match=r"a batch needs series of one number of features; these have \[1, 2\]"
    ):
        pad_values([np.zeros((2, 1)), np.zeros((2, 2))])
    with pytest.raises(UsageError, match=r"a batch needs series of one number of features; these have \[\]"):
        pad_values([])
