"""Windows of random lengths: every token once and in order, as many in each epoch, lengths as the paper draws them."""

import pytest
import torch

from gatewise.tasks.generate.windows import RandomStreams


def drawn(tokens=10_000, streams=3, steps=30, seed=0):
    return RandomStreams(torch.arange(tokens), streams, steps, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("tokens", "streams", "steps"), [(10_000, 3, 30), (200, 2, 70), (20, 10, 4), (90, 1, 2)]
)
def test_every_token_of_a_stream_is_predicted_once_in_order(tokens, streams, steps):
    windows = drawn(tokens, streams, steps)
    read = torch.cat([window.inputs for window in windows])
    assert torch.equal(torch.cat([window.targets for window in windows]), read + 1)
    length = tokens // streams
    for b in range(streams):
        assert read[:, b].tolist() == list(range(b * length, (b + 1) * length - 1))
    assert all(len(window.inputs) for window in windows)


def test_epochs_differ_but_not_in_their_number_of_windows():
    one, other = drawn(seed=0), drawn(seed=1)
    assert len(one) == len(other) and one.ends != other.ends and one.ends == drawn(seed=0).ends


def test_lengths_and_rates_are_those_of_the_paper():
    windows = drawn(tokens=400_000, streams=2, steps=70)
    lengths = torch.tensor([float(len(window.inputs)) for window in windows])
    short = lengths < 52
    assert abs(short.float().mean() - 0.05) < 0.012  # four standard errors of 2,900 draws
    assert abs(lengths[~short].mean() - 70) < 1 and abs(lengths[short].mean() - 35) < 2
    assert 4.5 < lengths[~short].std() < 5.5
    assert all(window.rate == len(window.inputs) / 70 for window in windows)


def test_a_process_keeps_its_streams_and_the_rate():
    window = drawn(streams=5)[1]
    parts = [window.shard(rank, 2) for rank in range(2)]
    assert torch.equal(parts[1].inputs, window.inputs[:, [1, 3]]) and parts[1].rate == window.rate
    assert [len(part.inputs) for part in drawn()[1:3]] == [len(drawn()[1].inputs), len(drawn()[2].inputs)]
    with pytest.raises(IndexError):
        drawn()[10_000]
