"""The tasks with long lags: what their sequences hold, read again step by step, and how often each thing is drawn."""

import pytest
import torch

from gatewise.errors import UsageError
from gatewise.synthetic import adding, copy_memory, noise_free_lag, reber, temporal_order


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def words(batch, names):
    """Each sequence as the list of its symbols' names; every step inside shows one symbol, every other step none."""
    inside = torch.arange(len(batch.x))[:, None] < batch.lengths
    assert torch.equal(batch.x.sum(-1), inside.float()) and set(batch.x.unique().tolist()) <= {0.0, 1.0}
    places = batch.x.argmax(-1)
    return [[names[k] for k in places[:n, b].tolist()] for b, n in enumerate(batch.lengths.tolist())]


def is_even(counts, total):
    """Whether counts of equally likely outcomes are within 5 standard deviations of each other's mean."""
    share = total / len(counts)
    return (counts - share).abs().max() < 5 * (share * (1 - 1 / len(counts))) ** 0.5


def test_adding_is_the_sum_of_two_marked_numbers():
    x, lengths, targets = adding.draw(1500, 40, generator=generator())
    assert x.shape == (44, 1500, 2) and x.dtype == targets.dtype == torch.float32
    firsts, seconds, zeroed = [], [], 0
    for b in range(1500):
        numbers, markers = x[: lengths[b], b].unbind(-1)
        assert not x[lengths[b] :, b].any()
        assert markers[0] == markers[-1] == -1 and set(markers[1:-1].tolist()) <= {0.0, 1.0}
        marked = markers.eq(1).nonzero().flatten().tolist()
        assert len(marked) in (1, 2) and max(marked) < 20  # the first T/2 pairs: a lag of T/2 or more
        if len(marked) == 1:  # the other one was the first pair
            assert numbers[0] == 0
            zeroed += 1
        else:
            assert min(marked) < 10
            firsts.append(min(marked))
            seconds.append(max(marked))
        assert targets[b] == pytest.approx(0.5 + sum(numbers[k].item() for k in marked) / 4, abs=1e-6)
    # The first pair is drawn first with 1/10, and second with 9/10 · 1/19.
    chance = 0.1 + 0.9 / 19
    assert abs(zeroed - 1500 * chance) < 5 * (1500 * chance) ** 0.5
    assert set(firsts) == set(range(1, 10)) and set(seconds) == set(range(2, 20))
    assert is_even(torch.bincount(lengths - 40, minlength=5), 1500)
    inner = x[1:20, :, 0]
    assert abs(inner.mean()) < 0.02 and abs(inner.square().mean() - 1 / 3) < 0.02  # uniform in -1 … 1
    assert inner.abs().max() <= 1


@pytest.mark.parametrize("relevant", [2, 3])
def test_temporal_order_asks_for_the_order_of_x_and_y(relevant):
    batch = temporal_order.draw(2000, relevant, generator=generator())
    assert batch.x.shape == (110, 2000, 8)
    windows = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}[relevant]
    orders = {2: ["XX", "XY", "YX", "YY"], 3: ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"]}
    seen = [set() for _ in windows]
    for word, target in zip(words(batch, temporal_order.SYMBOLS), batch.targets.tolist(), strict=True):
        assert word[0] == "E" and word[-1] == "B" and 100 <= len(word) <= 110
        places = [k for k, symbol in enumerate(word) if symbol in "XY"]
        assert "".join(word[k] for k in places) == orders[relevant][target]
        for place, (first, last), found in zip(places, windows, seen, strict=True):
            assert first <= place <= last
            found.add(place)
        assert set(word[1:-1]) <= set("abcdXY")
    assert [len(found) for found in seen] == [11] * relevant
    assert is_even(torch.bincount(batch.targets, minlength=2**relevant), 2000)
    assert is_even(torch.bincount(batch.lengths - 100, minlength=11), 2000)


def test_copy_memory_as_the_paper_writes_it_out():
    batch = copy_memory.draw(500, 7, generator=generator())
    names = "abcdefgh-:"
    for b, word in enumerate(words(batch, names)):
        shown = "".join(word)
        copied = "".join(names[k] for k in batch.targets[:, b].tolist())
        assert shown == copied + "------" + ":" + "----------"  # lag - 1 = 6 blanks, the mark, ten blanks
    assert len(batch.x) == 27 and batch.targets.shape == (10, 500)
    assert is_even(torch.bincount(batch.targets.flatten(), minlength=8), 5000)


@pytest.mark.parametrize(
    ("task", "fixed"), [(noise_free_lag.regular, True), (noise_free_lag.irregular, False)]
)
def test_short_lags_begin_with_what_is_asked(task, fixed):
    batch = task(1000, 6, generator=generator())
    for word, target in zip(words(batch, "12345xy"), batch.targets.tolist(), strict=True):
        assert len(word) == 6 and word[0] == "xy"[target]
        assert "".join(word[1:]) == "12345" if fixed else set(word[1:]) <= set("12345")
    assert is_even(torch.bincount(batch.targets), 1000)
    if not fixed:
        assert is_even(torch.bincount(batch.x[1:].argmax(-1).flatten(), minlength=5)[:5], 5000)


def test_a_long_lag_ends_with_its_trigger_after_a_geometric_filling():
    q, p = 9, 4
    batch = noise_free_lag.long(4000, q, p, generator=generator())
    more = []
    for word, target in zip(words(batch, "1234ebxy"), batch.targets.tolist(), strict=True):
        assert word[0] == "b" and word[1] == "xy"[target] and word[-1] == "e"
        assert set(word[2:-1]) <= set("1234")
        more.append(len(word) - (q + 3))  # k of the paper: the filling has q + k symbols
    more = torch.tensor(more)
    assert more.min() == 0
    # P(k) = 1/10 · (9/10)^k: mean 9, variance 90. (The paper counts q + 14 symbols on average: it sums to q + 13.)
    assert abs(more.float().mean() - 9) < 5 * (90 / 4000) ** 0.5
    assert abs((more == 0).float().mean() - 0.1) < 5 * (0.09 / 4000) ** 0.5
    assert is_even(torch.bincount(batch.targets), 4000)


def test_whole_reber_strings_are_the_walks_up_to_their_last_symbol():
    window, lengths = reber.whole_strings(300, generator=generator())
    stream = reber.ReberStreams(300, generator=generator()).read(len(window.symbols) + 2)
    assert len(window.symbols) == lengths.max()
    for b, n in enumerate(lengths.tolist()):
        text = "".join(reber.SYMBOLS[k] for k in stream.symbols[: n + 2, b].tolist())
        assert text[-1] == "B" and text[-2] == "E" and "EB" not in text[:-1]
        assert torch.equal(window.symbols[:n, b], stream.symbols[:n, b])
        assert window.following[n - 1, b] == reber.SYMBOLS.index("E")
    assert lengths.min() == 8  # nine symbols, and the last is only predicted


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: adding.draw(5, 30, generator=g),
        lambda g: temporal_order.draw(5, 3, generator=g),
        lambda g: copy_memory.draw(5, 3, generator=g),
        lambda g: noise_free_lag.irregular(5, 8, generator=g),
        lambda g: noise_free_lag.long(5, 8, 8, generator=g),
    ],
)
def test_draws_are_those_of_the_generator(draw):
    first, again, other = (draw(generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.x.shape != other.x.shape or not torch.equal(first.x, other.x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: adding.draw(2, 21, generator=generator()),
            "steps is 21; the adding problem needs 22 or more",
        ),
        (lambda: temporal_order.draw(2, 4, generator=generator()), "relevant is 4; it must be 2 or 3"),
        (lambda: copy_memory.draw(2, 0, generator=generator()), "lag is 0"),
        (lambda: noise_free_lag.regular(2, 1, generator=generator()), "p is 1"),
        (lambda: noise_free_lag.irregular(2, 1, generator=generator()), "p is 1"),
        (lambda: noise_free_lag.long(2, 0, 5, generator=generator()), "q is 0 and p is 5"),
    ],
)
def test_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
