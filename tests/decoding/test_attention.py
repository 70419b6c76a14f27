"""Attention against written-out sums, and what it may read."""

import math

import numpy as np
import pytest
import torch

from gatewise.decoding.attention import ATTENTIONS, BahdanauAttention, LuongAttention

KINDS = sorted(ATTENTIONS)


def made(kind, query_size=5, memory_size=4):
    torch.manual_seed(0)
    attention = ATTENTIONS[kind](query_size, memory_size).double()
    return attention, torch.randn(3, 2, query_size).double(), torch.randn(6, 2, memory_size).double()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_sum_to_one_over_the_steps_inside_alone(kind):
    attention, queries, values = made(kind)
    lengths = torch.tensor([6, 2])
    context, weights = attention(queries, attention.remember(values, lengths))
    assert weights.shape == (3, 2, 6)
    assert context.shape == (3, 2, 4)
    np.testing.assert_allclose(weights.detach().sum(2), 1, atol=1e-14)
    assert (weights[:, 1, 2:] == 0).all()
    assert (weights[:, 1, :2] > 0).all()
    values[2:, 1] = math.inf  # what lies beyond is never read; of scores, not even a NaN gets through
    values[2:, 1] = 1e300
    again, same = attention(queries, attention.remember(values, lengths))
    assert torch.equal(weights, same)
    assert torch.equal(context, again)


@pytest.mark.parametrize("kind", KINDS)
def test_against_arithmetic_written_out(kind):
    attention, queries, values = made(kind)
    lengths = [6, 3]
    context, weights = attention(queries, attention.remember(values, torch.tensor(lengths)))
    for t in range(3):
        for b, length in enumerate(lengths):
            h, m = queries[t, b].numpy(), values[:length, b].numpy()
            W = {name: p.detach().numpy() for name, p in attention.named_parameters()}
            if kind == "luong":
                scores = [h @ W["key.weight"] @ m_s for m_s in m]
            else:
                scores = [
                    (W["score.weight"] @ np.tanh(W["query.weight"] @ h + W["key.weight"] @ m_s))[0]
                    for m_s in m
                ]
            a = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[t, b, :length].detach(), a, atol=1e-13)
            np.testing.assert_allclose(context[t, b].detach(), a @ m, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_without_steps_is_read_as_nothing_and_has_finite_gradients(kind):
    attention, queries, values = made(kind)
    queries.requires_grad_()
    context, weights = attention(queries, attention.remember(values, torch.tensor([0, 6])))
    assert (weights[:, 0] == 0).all()
    assert (context[:, 0] == 0).all()
    (context.square().sum() + weights.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in [queries, *attention.parameters()])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    attention, queries, values = made(kind)
    lengths = torch.tensor([6, 2])
    inputs = [queries.requires_grad_(), values.requires_grad_()]
    assert torch.autograd.gradcheck(
        lambda q, v: attention(q, attention.remember(v, lengths)), inputs, atol=1e-8
    )


def test_of_equal_scores_everything_is_read_evenly():
    for attention in (LuongAttention(2, 3), BahdanauAttention(2, 3, 4)):
        values = torch.arange(12.0).view(4, 1, 3)
        with torch.no_grad():
            for parameter in attention.parameters():
                parameter.zero_()
            context, weights = attention(torch.ones(1, 1, 2), attention.remember(values, torch.tensor([4])))
        assert weights.flatten().tolist() == [0.25] * 4
        assert context.flatten().tolist() == [4.5, 5.5, 6.5]
