"""Targets as a decoder reads and writes them: after a beginning, before an end, padded side by side, and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatewise.data.batches import pad_ids
from gatewise.data.tokenizer import Tokenizer
from gatewise.training.distributed import Processes

Ids = NDArray[np.int32]


def begin_of(vocabulary: Tokenizer) -> int:
    """The token before a target's first; no text can hold it, for it and the end lie beyond the vocabulary."""
    return vocabulary.vocab_size


def end_of(vocabulary: Tokenizer) -> int:
    """The token after a target's last one."""
    return vocabulary.vocab_size + 1


def begun_and_ended(targets: Sequence[Ids], begin: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """Targets [T_b - 1] as what the decoder reads at each step (begin and the target) and what it is to write (the
    target and end), [T, B] int64 each, and their lengths [B]."""
    first, last = np.array([[begin], [end]], np.int32)
    inputs, lengths = pad_ids([np.concatenate((first, ids)) for ids in targets])
    wanted, _ = pad_ids([np.concatenate((ids, last)) for ids in targets])
    return inputs, wanted, lengths


@torch.no_grad()
def token_sums(network: nn.Module, batches: Iterable[Any]) -> tuple[float, float, float]:
    """Sums over all tokens of the targets and their ends: cross-entropy in nats, tokens that lead, tokens.

    Args:
        network: from a batch to logits [N, V], the tokens that were wanted [N], and what else a loss needs.
        batches: see `target_sums`.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    for batch in batches:
        sums += target_sums(network, batch).sum(0)
    loss, right, tokens = sums.tolist()
    return loss, right, tokens


@torch.no_grad()
def target_sums(network: nn.Module, batch: Any) -> Tensor:
    """As `token_sums`, of each target of a batch alone: [B, 3] float64 on the CPU.

    Args:
        batch: `batch.inside` [T, B] says which steps are within their targets; the network's logits are of those.
    """
    logits, wanted, *_ = network(batch)
    losses = cross_entropy(logits.double(), wanted, reduction="none")
    right = (logits.argmax(1) == wanted).double()
    each = torch.stack((losses, right, torch.ones_like(losses)), 1).cpu()  # [N, 3]
    owners = batch.inside.nonzero()[:, 1].cpu()
    return each.new_zeros(batch.inside.shape[1], 3).index_add_(0, owners, each)


def token_figures(loss: float, right: float, tokens: float) -> dict[str, Any]:
    """The figures of such sums: `tokens`, `loss` (nats a token), `perplexity`, `accuracy` of the next token."""
    return {
        "tokens": int(tokens),
        "loss": loss / tokens,
        "perplexity": math.exp(min(loss / tokens, 700)),
        "accuracy": right / tokens,
    }


def shared_figures(
    sums: Callable[[nn.Module, Sequence[int]], tuple[float, float, float]], n: int, processes: Processes
) -> Callable[[nn.Module], dict[str, float]]:
    """An evaluation over n examples, of which each process measures its share; the figures are the same in all.

    Args:
        sums: the sums (see `token_sums`) of a model over examples that are named by their numbers.
    """

    def evaluate(model: nn.Module) -> dict[str, float]:
        loss, right, tokens = processes.sum(list(sums(model, processes.shard(range(n)))))
        return {"loss": loss / tokens, "accuracy": right / tokens}

    return evaluate
