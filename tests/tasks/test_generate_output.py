"""The output's loss and gradients against PyTorch's own cross entropy, and a tied matrix's two gradients."""

from contextlib import nullcontext

import pytest
import torch
from language_cases import language_model, random_tokens
from torch.nn import functional as F

from gatewise.kernels import backend, softmax
from gatewise.tasks.generate import output
from gatewise.tasks.generate.output import nll_sum, token_nll


def made(n=9, h=5, v=11, dtype=torch.float64):
    g = torch.Generator().manual_seed(4)
    rows, weight = (torch.randn(k, h, generator=g, dtype=torch.float64) for k in (n, v))
    bias = torch.randn(v, generator=g, dtype=torch.float64)
    leaves = [t.to(dtype).requires_grad_() for t in (rows, weight, bias)]
    return leaves, torch.randint(v, (n,), generator=g)


@pytest.mark.parametrize(("kernels", "at_once"), [("", 1), ("naive", 1), ("naive", 22), ("naive", 1 << 19)])
def test_loss_and_gradients_are_those_of_cross_entropy(monkeypatch, kernels, at_once):
    monkeypatch.setattr(softmax, "AT_ONCE", at_once)
    leaves, targets = made()
    twins = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    with backend(kernels) if kernels else nullcontext():
        loss = nll_sum(*leaves, targets)
    wanted = F.cross_entropy(F.linear(*twins), targets, reduction="sum")
    torch.testing.assert_close(loss, wanted, rtol=1e-14, atol=0)
    (loss / 3).backward()
    (wanted / 3).backward()
    for leaf, twin in zip(leaves, twins, strict=True):
        torch.testing.assert_close(leaf.grad, twin.grad, rtol=1e-12, atol=1e-14)


def test_gradients_are_those_of_finite_differences():
    leaves, targets = made(n=3, h=2, v=4)
    assert torch.autograd.gradcheck(lambda *inputs: nll_sum(*inputs, targets), leaves, atol=1e-8)


def test_only_what_needs_a_gradient_gets_one():
    (rows, weight, bias), targets = made()
    nll_sum(rows, weight.detach(), bias.detach(), targets).backward()
    assert rows.grad is not None and weight.grad is None and bias.grad is None


def test_bf16_stays_within_its_rounding_of_float64():
    leaves, targets = made(n=64, h=32, v=50, dtype=torch.float32)
    rows, weight, bias = leaves
    low = nll_sum(rows.bfloat16(), weight, bias, targets)
    low.backward()
    twins = [leaf.detach().double().requires_grad_() for leaf in leaves]
    wanted = F.cross_entropy(F.linear(*twins), targets, reduction="sum")
    wanted.backward()
    assert low.dtype == torch.float32 and weight.grad.dtype == torch.float32
    torch.testing.assert_close(low.double(), wanted, rtol=4e-3, atol=0)
    for leaf, twin in zip(leaves, twins, strict=True):
        assert (leaf.grad - twin.grad).norm() <= 1.6e-2 * twin.grad.norm()


@pytest.mark.parametrize("at_once", [1, 22, 1 << 22])
def test_losses_of_single_tokens(monkeypatch, at_once):
    monkeypatch.setattr(output, "AT_ONCE_MEASURING", at_once)
    leaves, targets = made()
    wanted = F.cross_entropy(F.linear(*leaves), targets, reduction="none")
    torch.testing.assert_close(token_nll(*leaves, targets), wanted.detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("tie", [False, True])
def test_the_embedding_gets_the_gradient_of_both_its_uses(tie):
    model = language_model(tie=tie)
    tokens = random_tokens(25)
    ids, targets = tokens[:-1].view(8, 3), tokens[1:].view(8, 3)
    (nll, _), _ = model(ids, None, targets)
    nll.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(grad is not None and not grad.is_sparse for grad in found.values()) or not tie
    model.zero_grad()
    rows = model.embedding[ids]  # the same sum by plain indexing and torch's cross entropy
    h = model.recurrent(rows)[0]
    logits = F.linear(h, model.decoder, model.output_bias)
    F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-11, atol=1e-13)
