"""What a recurrent network must beat: always the most frequent label, and a linear model on bags of words."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")
STRENGTHS = (1.0, 5.0, 20.0, 100.0)
"""Inverse regularisation C of the loss `Σ -log p + ‖W‖²/(2C)`; the best on the validation part is taken."""


def majority_logits(targets: NDArray[np.int64], classes: int, examples: int) -> NDArray[np.float64]:
    """Logarithms of the labels' shares in the training part (add-one smoothed), the same for every example; [N, K]."""
    counts = np.bincount(targets, minlength=classes) + 1.0
    return np.tile(np.log(counts / counts.sum()), (examples, 1))


@dataclass(frozen=True)
class BagOfWords:
    """Logistic regression on tf-idf of words and pairs of neighbours (Wang & Manning 2012 and the textbooks).

    A feature counts if two training texts have it; its value is (1 + log tf) · idf with
    idf = log((1 + N) / (1 + df)) + 1, and each text's vector has length 1.

    Args:
        features: place of each word or pair. idf: [F]. weight: [F, K]. bias: [K]. strength: the chosen C.
    """

    features: dict[str, int]
    idf: NDArray[np.float64]
    weight: Tensor
    bias: Tensor
    strength: float

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        targets: NDArray[np.int64],
        classes: int,
        validation: tuple[Sequence[str], NDArray[np.int64]] | None = None,
    ) -> BagOfWords:
        """Fit on texts and targets [N]; without a validation part C is 20."""
        bags = [Counter(grams(text)) for text in texts]
        df = Counter(gram for bag in bags for gram in bag)
        features = {gram: k for k, gram in enumerate(sorted(g for g, n in df.items() if n > 1))}
        idf = np.array([np.log((1 + len(texts)) / (1 + df[gram])) + 1 for gram in features])
        x, y = _matrix(bags, features, idf), torch.from_numpy(targets)
        held_out = None
        if validation is not None and len(validation[0]):
            held_out = _matrix([Counter(grams(text)) for text in validation[0]], features, idf)
        best: tuple[float, BagOfWords] | None = None
        start, turned = (torch.zeros(len(features), classes), torch.zeros(classes)), _turned(x)
        for strength in STRENGTHS if held_out is not None else (20.0,):
            start = _fit(x, turned, y, *start, strength)  # each from the last: a path of growing C
            found = cls(features, idf, *start, strength)
            if held_out is None or validation is None:
                return found
            right = float(
                (held_out @ start[0] + start[1]).argmax(1).eq(torch.from_numpy(validation[1])).sum()
            )
            if best is None or right > best[0]:
                best = right, found
        assert best is not None
        return best[1]

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """[N, K]."""
        x = _matrix([Counter(grams(text)) for text in texts], self.features, self.idf)
        return (x @ self.weight + self.bias).double().numpy()

    def word_scores(self, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """What each word adds to the logits: its own features and half of the pairs that it is part of.

        Args:
            spans: start and end of N words in the text; they may be cut otherwise than this model cuts them.

        Returns:
            [N, K]. A word of this model counts for the span that holds its first character; over all spans the
            scores add up to `logits - bias` where every word of the text starts in one of them.
        """
        (row,) = _matrix([Counter(grams(text))], self.features, self.idf).to_dense()  # [F]
        counts = Counter(grams(text))
        found = [(match.start(), match[0].lower()) for match in _TOKEN.finditer(text)]
        shares = np.zeros((len(found), len(self.bias)))

        def add(gram: str, places: tuple[int, ...]) -> None:
            if (feature := self.features.get(gram)) is not None:
                value = row[feature] * self.weight[feature] / counts[gram]  # [K], of one occurrence
                shares[list(places)] += value.double().numpy() / len(places)

        for k, (_, word) in enumerate(found):
            add(word, (k,))
        for k, ((_, first), (_, second)) in enumerate(pairwise(found)):
            add(f"{first} {second}", (k, k + 1))
        starts = np.array([start for start, _ in found])
        inside = [(starts >= start) & (starts < end) for start, end in spans]
        return np.array([shares[mask].sum(0) for mask in inside]).reshape(len(spans), len(self.bias))


def grams(text: str) -> list[str]:
    """The words of a text in lower case, with `!` and `?`, and its pairs of neighbours."""
    words = _TOKEN.findall(text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _matrix(bags: Sequence[Counter[str]], features: dict[str, int], idf: NDArray[np.float64]) -> Tensor:
    """Rows of length 1; a sparse [N, F] float32 tensor."""
    starts, columns, values = [0], [], []
    for bag in bags:
        found = [(place, n) for gram, n in bag.items() if (place := features.get(gram)) is not None]
        here = np.array(found, np.int64).reshape(-1, 2)
        places, tf = here[here[:, 0].argsort()].T
        row = (1 + np.log(tf)) * idf[places]
        columns.append(places)
        values.append(row / max(float(np.sqrt((row**2).sum())), 1e-12))
        starts.append(starts[-1] + len(places))
    flat = [np.concatenate([np.zeros(0), *parts]) for parts in (columns, values)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # "… support is in beta state"
        return torch.sparse_csr_tensor(
            torch.tensor(starts),
            torch.from_numpy(flat[0].astype(np.int64)),
            torch.from_numpy(flat[1].astype(np.float32)),
            (len(bags), len(features)),
            check_invariants=True,
        )


def _turned(x: Tensor) -> Tensor:
    """The transpose, sparse by rows as well."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        return x.t().to_sparse_csr()


def _fit(
    x: Tensor, turned: Tensor, y: Tensor, weight: Tensor, bias: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    """Minimise the convex loss, divided by N, with L-BFGS from a start; `turned` is the transpose of x."""
    weight, bias = weight.clone(), bias.clone().requires_grad_()
    scores = torch.zeros(len(y), weight.shape[1])
    weight.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-6
    )

    def closure() -> Tensor:
        # The gradient of a sparse product is written out: X^T times that of the scores.
        with torch.no_grad():
            scores.copy_(x @ weight.detach() + bias)
        free = scores.detach().requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(free, y)
        (slope,) = torch.autograd.grad(loss, free)
        decay = 1 / (strength * len(y))
        weight.grad = turned @ slope + decay * weight.detach()
        bias.grad = slope.sum(0)
        return loss.detach() + decay / 2 * weight.detach().square().sum()

    optimizer.step(closure)
    return weight.detach(), bias.detach()
