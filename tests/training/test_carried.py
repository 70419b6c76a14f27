"""Truncated back-propagation through time: windows of streams, and the state that goes from one to the next."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import gatewise as gw
from gatewise.errors import RunError, UsageError
from gatewise.training.carried import Carried, TokenStreams
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum


def test_windows_are_those_of_the_written_out_example():
    # Eleven tokens as two streams: 0 1 2 3 4 and 5 6 7 8 9, token 10 is left over.
    streams = TokenStreams(torch.arange(11), streams=2, steps=3)
    assert len(streams) == 2
    assert [window.inputs.tolist() for window in streams] == [[[0, 5], [1, 6], [2, 7]], [[3, 8]]]
    assert [window.targets.tolist() for window in streams] == [[[1, 6], [2, 7], [3, 8]], [[4, 9]]]
    assert streams[-1].inputs.tolist() == [[3, 8]]
    assert [window.inputs.tolist() for window in streams[1:]] == [[[3, 8]]]
    with pytest.raises(IndexError):
        streams[2]


@pytest.mark.parametrize(("tokens", "streams", "steps"), [(2, 1, 1), (100, 7, 4), (50, 5, 100), (21, 4, 4)])
def test_every_token_of_a_stream_is_predicted_once_in_order(tokens, streams, steps):
    windows = TokenStreams(torch.arange(tokens), streams, steps)
    assert all(len(window.inputs) <= steps for window in windows)
    read = torch.cat([window.inputs for window in windows])
    said = torch.cat([window.targets for window in windows])
    length = tokens // streams
    for b in range(streams):
        assert read[:, b].tolist() == list(range(b * length, (b + 1) * length - 1))
    assert torch.equal(said, read + 1)


def test_each_process_keeps_its_streams():
    whole = TokenStreams(torch.arange(40), streams=5, steps=3)
    for window in whole:
        parts = [window.shard(rank, 2) for rank in range(2)]
        assert [part.inputs.shape[1] for part in parts] == [3, 2]
        assert torch.equal(parts[0].inputs, window.inputs[:, [0, 2, 4]])
        assert torch.equal(parts[1].targets, window.targets[:, [1, 3]])


def test_streams_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="5 tokens are too few for 3 streams; each needs at least 2"):
        TokenStreams(torch.arange(5), 3, 1)
    with pytest.raises(UsageError, match="streams is 0 and steps is 4; both must be at least 1"):
        TokenStreams(torch.arange(5), 0, 4)
    with pytest.raises(UsageError, match=r"tokens has the shape \[2, 3\]; it must be \[N\]"):
        TokenStreams(torch.zeros(2, 3), 1, 1)


class Letters(nn.Module):
    """A small language model over bytes."""

    def __init__(self, size=8, symbols=5):
        super().__init__()
        self.embedding = nn.Embedding(symbols, size)
        self.recurrent = gw.LSTM(size, size)
        self.output = nn.Linear(size, symbols)

    def forward(self, ids, state=None):
        h, state = self.recurrent(self.embedding(ids), state)
        return self.output(nn.functional.dropout(h, 0.2, self.training)), state


def loss(model, window, state):
    logits, state = model(window.inputs, state)
    total = cross_entropy(logits.flatten(0, 1), window.targets.flatten(), reduction="sum")
    return Sum(total, window.targets.numel()), state


def test_training_is_the_loop_that_one_would_write_by_hand():
    """The state goes on within an epoch, detached, and is zero again at the next one's start."""
    torch.manual_seed(0)
    tokens = torch.randint(0, 5, (61,))
    streams = TokenStreams(tokens, streams=3, steps=4)
    model = Letters().double()
    mine = copy.deepcopy(model)
    torch.manual_seed(5)
    outcome = fit(
        model, lambda epoch: streams, Carried(loss), LoopOptions(3, 0.01, warmup=0, schedule="constant")
    )

    torch.manual_seed(5)
    optimizer = torch.optim.AdamW(mine.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.0)
    columns = tokens[:60].view(3, 20).t()
    means = []
    for _ in range(3):
        state, total, count = None, 0.0, 0
        for start in range(0, 19, 4):
            end = min(start + 4, 19)
            h, state = mine.recurrent(mine.embedding(columns[start:end]), state)
            logits = mine.output(nn.functional.dropout(h, 0.2))
            value = cross_entropy(logits.reshape(-1, 5), columns[start + 1 : end + 1].reshape(-1))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            state = tuple(part.detach() for part in state)
            total, count = total + value.item() * 3 * (end - start), count + 3 * (end - start)
        means.append(total / count)
    assert outcome.steps == 15
    assert [row["loss"] for row in outcome.history] == pytest.approx(means, rel=1e-12)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, mine.state_dict()[name], rtol=1e-10, atol=1e-12, msg=name)


def test_no_gradient_flows_into_the_batch_before():
    carried = Carried(loss)
    model = Letters()
    first, second = list(TokenStreams(torch.arange(18) % 5, streams=2, steps=4))
    carried(model, first)
    assert all(not part.requires_grad for part in carried.state)
    carried(
        model, second
    ).total.backward()  # a graph that reached back would have been freed, or counted twice
    carried(model, second).total.backward()


@pytest.mark.parametrize(
    "state",
    [
        None,
        torch.ones(2, 3),
        (torch.ones(2), torch.zeros(3)),
        [(torch.ones(1), None), {"h": torch.ones(2), "c": [torch.zeros(1, dtype=torch.float64)]}, ()],
    ],
)
def test_a_state_of_any_nesting_comes_back(state):
    carried, other = Carried(loss), Carried(loss)
    carried.state = state
    other.unpack(*carried.pack(), torch.device("cpu"))
    assert same(other.state, state)
    other.reset()
    assert other.state is None


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a is b is None


@pytest.mark.parametrize("structure", ["x", 3, -1, True, {"tuple": 0}, {"set": []}, [0], 0.0])
def test_a_structure_that_says_nothing_is_refused(structure):
    with pytest.raises(RunError, match="the carried state of the checkpoint is not readable at"):
        Carried(loss).unpack([torch.ones(1)], structure, torch.device("cpu"))


def test_a_state_that_is_no_tensor_is_refused():
    carried = Carried(lambda model, window, state: (Sum(torch.zeros(()), 1), {"h": 3}))
    with pytest.raises(UsageError, match="a carried state holds a int; it must be made of tensors"):
        carried(None, None)
