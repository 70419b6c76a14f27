"""Poolings, embedding and network against sums written out in NumPy."""

import numpy as np
import pytest
import torch
from classify_cases import SMALL

from gatewise.errors import UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.embedding import TokenEmbedding, frequent_pairs
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.classify.pooling import POOLINGS

LENGTHS = torch.tensor([5, 1, 0, 3])


def expected(name, h, lengths, directions, score=None):
    """Pooled states, one row and one unit after the other."""
    rows, units = h.shape[1:]
    out = np.zeros((rows, units))
    for b in range(rows):
        n = int(lengths[b])
        if n == 0:
            continue
        for j in range(units):
            column = h[:n, b, j]
            if name == "last":
                out[b, j] = column[0] if directions == 2 and j >= units // 2 else column[-1]
            elif name == "mean":
                out[b, j] = column.mean()
            elif name == "max":
                out[b, j] = column.max()
            else:
                scores = h[:n, b] @ score[0] + score[1]
                a = np.exp(scores - scores.max())
                out[b, j] = (a / a.sum() * column).sum()
    return out


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("directions", [1, 2])
def test_a_pooling_is_the_sum_of_its_weights_times_the_states(name, directions):
    h = torch.randn(5, 4, 6, dtype=torch.float64)
    pooling = POOLINGS[name](6, directions).double()
    score = None
    if name == "attention":
        score = pooling.score.weight[0].detach().numpy(), pooling.score.bias.item()
    pooled = pooling(h, LENGTHS).detach()
    np.testing.assert_allclose(pooled, expected(name, h.numpy(), LENGTHS, directions, score), atol=1e-14)
    weights = pooling.weights(h, LENGTHS).detach()
    a = weights if weights.dim() == 3 else weights[..., None]
    np.testing.assert_allclose((a * h).sum(0), pooled, atol=1e-14)
    inside = torch.arange(5)[:, None] < LENGTHS
    assert (a[~inside] == 0).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_what_lies_beyond_a_length_changes_no_bit(name):
    h = torch.randn(5, 4, 6)
    spoiled = h.clone()
    spoiled[~(torch.arange(5)[:, None] < LENGTHS)] = torch.nan
    pooling = POOLINGS[name](6, 1)
    assert torch.equal(pooling(h, LENGTHS), pooling(spoiled, LENGTHS))


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("directions", [1, 2])
def test_nothing_at_all_pools_to_zero(name, directions):
    pooling = POOLINGS[name](6, directions)
    for h in (torch.zeros(0, 2, 6), torch.randn(3, 2, 6)):
        zero = torch.zeros(2, dtype=torch.int64)
        assert torch.equal(pooling(h, zero), torch.zeros(2, 6))
        assert (pooling.weights(h, zero) == 0).all()


def test_frequent_pairs_are_counted_among_known_tokens():
    sequences = [np.array(s) for s in ([2, 3, 2, 3, 2], [2, 3, 1, 3], [4, 2, 4, 2], [4, 2], [9], [])]
    # (2,3) three times, (4,2) three times, (3,2) twice; pairs with the unknown token (1) do not count.
    assert frequent_pairs(sequences, 10, 5).tolist() == [23, 42]
    assert frequent_pairs(sequences, 10, 1).tolist() == [23]
    assert frequent_pairs(sequences, 10, 0).tolist() == []
    assert frequent_pairs([], 10, 5).tolist() == []


def test_the_embedding_adds_word_and_pair():
    embedding = TokenEmbedding(10, 3, torch.tensor([23, 42]))
    with torch.no_grad():
        embedding.pair_words.weight.copy_(torch.arange(9.0).view(3, 3))
        embedding.pair_words.weight[0] = 0
    ids = torch.tensor([[2, 4], [3, 2], [3, 0], [2, 0]])  # [T, B]
    assert embedding.pair_ids(ids).tolist() == [[0, 0], [1, 2], [0, 0], [0, 0]]
    words, pairs = embedding.words.weight, embedding.pair_words.weight
    found = embedding(ids)
    assert torch.equal(found[1, 0], words[3] + pairs[1])
    assert torch.equal(found[1, 1], words[2] + pairs[2])
    assert torch.equal(found[0, 1], words[4])
    assert torch.equal(found[2:, 1], torch.zeros(2, 3))


def test_word_dropout_reads_words_as_unknown_but_leaves_pairs_and_padding():
    embedding = TokenEmbedding(50, 2, torch.tensor([2 * 50 + 3]), word_dropout=0.3)
    with torch.no_grad():
        embedding.words.weight.copy_(torch.arange(50.0)[:, None].expand(50, 2))
        embedding.words.weight[0] = 0
        embedding.pair_words.weight[1] = 1000
    ids = torch.full((2, 20_000), 3)
    ids[0] = 2
    ids[:, ::4] = 0
    embedding.train()
    found = embedding(ids)[..., 0]
    assert (found[:, ::4] == 0).all()
    read = ids[0] > 0
    assert set(found[0][read].tolist()) == {1.0, 2.0}
    assert set(found[1][read].tolist()) == {1001.0, 1003.0}
    share = (found[0][read] == 1).double().mean().item()
    assert share == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 15_000) ** 0.5)
    embedding.train(False)
    assert torch.equal(embedding(ids)[1, 1], torch.tensor([1003.0, 1003.0]))


def test_vectors_are_taken_over_where_there_are_some():
    vectors = torch.full((5, 2), torch.nan)
    vectors[3] = torch.tensor([7.0, 8.0])
    embedding = TokenEmbedding(5, 2, torch.zeros(0, dtype=torch.int64), vectors=vectors)
    assert embedding.words.weight[3].tolist() == [7, 8]
    assert embedding.words.weight[0].tolist() == [0, 0]
    assert embedding.words.weight[[1, 2, 4]].isfinite().all()


def test_chrono_below_three_steps_is_refused():
    with pytest.raises(UsageError, match=r"chrono is 2; it must be 0 \(off\), or at least 3 steps"):
        ClassifyConfig(chrono=2)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "gru+lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_company_do_not_change_an_answer(cell, bidirectional):
    config = ClassifyConfig(**SMALL, cell=cell, bidirectional=bidirectional, pooling="last")
    embedding = TokenEmbedding(20, 12, torch.zeros(0, dtype=torch.int64))
    network = SequenceClassifier(config, 3, embedding=embedding).double().train(False)
    ids = torch.randint(2, 20, (6, 3))
    lengths = torch.tensor([6, 2, 0])
    network.hidden = lambda x, n: network.recurrent(network.embedding(x), lengths=n)[0]  # float64 stays
    together = network(ids, lengths)
    for b, n in enumerate(lengths.tolist()):
        alone = network(ids[:n, b : b + 1], torch.tensor([n]))
        np.testing.assert_allclose(together[b].detach(), alone[0].detach(), atol=1e-12)
    np.testing.assert_allclose(together[2].detach(), network.output.bias.detach(), atol=0)


def test_embedding_dropout_is_one_mask_over_time_and_only_for_texts():
    config = ClassifyConfig(**SMALL | {"embedding_dropout": 0.5})
    network = SequenceClassifier(
        config, 2, embedding=TokenEmbedding(9, 12, torch.zeros(0, dtype=torch.int64))
    )
    seen = []
    network.recurrent.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    ids = torch.randint(2, 9, (7, 40))
    network.train()(ids, torch.full((40,), 7))
    plain = network.embedding(ids).detach()
    ratio = seen[0] / plain
    assert torch.equal(ratio.round(decimals=4).unique(), torch.tensor([0.0, 2.0]))
    assert (seen[0] == 0).all(0).sum() + (seen[0] != 0).all(0).sum() == 40 * 12
    numeric = SequenceClassifier(config, 2, features=12)
    assert numeric.input_dropout == 0
