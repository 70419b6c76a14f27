"""Beam search: the sequences of highest probability that a decoder can write, as far as K beams see.

All rows and all their beams go through the decoder together, K·B rows a step. A sequence is finished when it ends
among the K best of a step; a row is done when K of its sequences are, when none that still grows can become better
than the best of them, or when they are as long as the row allows. What is found for a row does not depend on the
others.

Scores of finished sequences (Wu et al. 2016, "Google's neural machine translation system", equation 14):
    score(Y) = log P(Y) / lp(Y) + β Σ_s log min(Σ_t a_ts, 1),   lp(Y) = ((5 + |Y|) / 6)^α
with |Y| the tokens that were written, the end token among them, and a_ts the attention of step t to step s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from gatewise.errors import UsageError


class Selectable(Protocol):
    """A decoder's state, [K, B] rows of it."""

    def select(self, beams: Tensor) -> Self: ...


Step = Callable[[Tensor, Any], tuple[Tensor, Tensor, Any]]
"""Tokens [K, B] and a state to log-probabilities [K, B, V], attention [K, B, S] and the next state."""


class Hypothesis(NamedTuple):
    """A sequence that the search found.

    Attributes:
        tokens: without begin and end.
        score: what the search ranks by; `log_probability`: of the tokens and the end token, natural.
        attention: of each token, and of the end token where there was one, to each step of the memory; [|Y|, S].
        complete: whether it ended by itself, before the longest allowed length.
    """

    tokens: list[int]
    score: float
    log_probability: float
    attention: Tensor
    complete: bool


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        beams: K ≥ 1; 1 is greedy.
        longest: tokens of a sequence, without the end token; ≥ 1.
        length_penalty: α ≥ 0; 0 ranks by log P, 1 nearly by its mean over tokens.
        coverage_penalty: β ≥ 0; needs attention.

    Raises:
        UsageError: a value out of its range.
    """

    beams: int = 5
    longest: int = 100
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name, low in (("beams", 1), ("longest", 1), ("length_penalty", 0), ("coverage_penalty", 0)):
            value = getattr(self, name)
            if not low <= value < float("inf"):
                raise UsageError(f"{name} is {value}; it must be {low} or more")

    def lp(self, length: int) -> float:
        return ((5 + length) / 6) ** self.length_penalty

    def cp(self, covered: Tensor) -> float:
        """The coverage's part of a score; covered [S] is Σ_t a_ts of the memory's own steps, 1 or more elsewhere."""
        return self.coverage_penalty * float(covered.clamp(1e-9, 1).log().sum())


@torch.no_grad()
def beam_search(
    step: Step,
    state: Selectable,
    inside: Tensor,
    search: Search,
    *,
    begin: int,
    end: int,
    longest: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """The best sequences of every row, the best first; up to K each, at least one.

    Args:
        state: before the first token, of 1 beam for each of B rows.
        inside: the steps of each row's memory, [S, B] bool.
        begin, end: ids of the tokens that a sequence begins and ends with; end counts as a token of |Y|.
        longest: of each row, B of them, each ≥ 1; None: `search.longest` of every row.
    """
    rows = inside.shape[1]
    return _Run(step, inside, search, end, [search.longest] * rows if longest is None else longest).run(
        state, begin
    )


class _End(NamedTuple):
    """A finished sequence: the beam that it ended in, before the step in which it did."""

    score: float
    log_probability: float
    beam: int
    length: int  # with the end token
    last: Tensor  # attention of the end token, [S]


class _Run:
    """One search: B rows, their growing beams, and what is finished."""

    def __init__(self, step: Step, inside: Tensor, search: Search, end: int, longest: Sequence[int]) -> None:
        self.step, self.search, self.end, self.longest = step, search, end, longest
        self.outside = ~inside.t()  # [B, S]
        self.rows = torch.arange(len(self.outside), device=inside.device)
        self.ends: list[list[_End]] = [[] for _ in self.rows]
        self.cuts: dict[int, Hypothesis] = {}  # of the rows in which nothing ended
        self.done = torch.zeros_like(self.rows, dtype=torch.bool)
        self.trail: list[tuple[Tensor, Tensor, Tensor]] = []  # tokens, the beams they grew from, attention

    def run(self, state: Selectable, begin: int) -> list[list[Hypothesis]]:
        tokens = torch.full_like(self.rows, begin)[None]  # [K, B]
        scores = torch.zeros(tokens.shape, device=tokens.device)
        covered = self.outside.float()[None]  # [K, B, S]; what is outside counts as covered
        for length in count(1):
            log_p, weights, state = self.step(tokens, state)
            covered = covered + weights
            best, beams, tokens = self._candidates(scores, log_p)
            self._finish(length, best, beams, tokens, covered, weights)
            self._close(length, scores)
            if bool(self.done.all()):
                break
            scores, beams, tokens = self._growing(best, beams, tokens, log_p.shape)
            self.trail.append((tokens, beams, weights[beams, self.rows]))
            covered = covered[beams, self.rows]
            state = state.select(beams)
            self.done |= self._is_hopeless(scores)
        return [self._hypotheses(b) for b in range(len(self.rows))]

    def _candidates(self, scores: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The 2K best ways to go on, of which K or fewer end: scores, beams they grow from and tokens, [2K, B] each."""
        K, B, V = log_p.shape
        few = min(2 * self.search.beams, V)  # of one beam no more can be among the best
        own, tokens = log_p.topk(few, 2)  # [K, B, few]
        ways = (scores[..., None] + own).transpose(0, 1).reshape(B, K * few)
        best, place = ways.topk(min(2 * self.search.beams, K * few), 1)
        return best.t(), (place // few).t(), tokens.transpose(0, 1).reshape(B, K * few).gather(1, place).t()

    def _finish(
        self, length: int, best: Tensor, beams: Tensor, tokens: Tensor, covered: Tensor, weights: Tensor
    ) -> None:
        """Note the sequences that end among the K best."""
        ended = (tokens == self.end)[: self.search.beams] & ~self.done
        for rank, b in ended.nonzero().tolist():
            beam, log_p = int(beams[rank, b]), float(best[rank, b])
            if log_p == -torch.inf:
                continue
            score = log_p / self.search.lp(length) + self.search.cp(covered[beam, b])
            self.ends[b].append(_End(score, log_p, beam, length, weights[beam, b]))
            if len(self.ends[b]) == self.search.beams:
                self.done[b] = True

    def _close(self, length: int, scores: Tensor) -> None:
        """Let the rows whose sequences may have no further token be done; scores [K, B] before this step."""
        for b, longest in enumerate(self.longest):
            if longest == length - 1:
                self.done[b] = True
                if not self.ends[b]:
                    self.cuts[b] = self._cut(b, scores)

    def _growing(
        self, best: Tensor, beams: Tensor, tokens: Tensor, shape: torch.Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The K best candidates that do not end."""
        K, _, V = shape
        ends = tokens == self.end
        first = ends.int().sort(dim=0, stable=True).indices[: min(self.search.beams, K * (V - 1))]
        best = best.masked_fill(ends, -torch.inf)
        return tuple(part.gather(0, first) for part in (best, beams, tokens))  # type: ignore[return-value]

    def _is_hopeless(self, scores: Tensor) -> Tensor:
        """The rows of which no growing sequence can become better than the best finished one, [B] bool."""
        found = scores.new_tensor(
            [max((end.score for end in ends), default=-torch.inf) for ends in self.ends]
        )
        # log P only falls and lp only rises, so this is the best that a sequence can come to.
        bound = scores.amax(0) / scores.new_tensor([self.search.lp(longest + 1) for longest in self.longest])
        return (found >= bound) & (found > -torch.inf)

    def _hypotheses(self, b: int) -> list[Hypothesis]:
        if not self.ends[b]:
            return [self.cuts[b]]
        found = []
        for end in sorted(self.ends[b], key=lambda end: -end.score):
            tokens, attention = self._followed(end.length - 2, end.beam, b)
            found.append(
                Hypothesis(tokens, end.score, end.log_probability, torch.stack([*attention, end.last]), True)
            )
        return found

    def _cut(self, b: int, scores: Tensor) -> Hypothesis:
        """The best sequence that had not ended when it was as long as allowed."""
        beam = int(scores[:, b].argmax())
        tokens, attention = self._followed(len(self.trail) - 1, beam, b)
        log_p = float(scores[beam, b])
        covered = torch.stack(attention).sum(0) + self.outside[b]
        score = log_p / self.search.lp(len(tokens)) + self.search.cp(covered)
        return Hypothesis(tokens, score, log_p, torch.stack(attention), False)

    def _followed(self, step: int, beam: int, b: int) -> tuple[list[int], list[Tensor]]:
        """The tokens and their attention that lead to a beam after a step, the first one first."""
        tokens, attention = [], []
        for written, beams, weights in reversed(self.trail[: step + 1]):
            tokens.append(int(written[beam, b]))
            attention.append(weights[beam, b])
            beam = int(beams[beam, b])
        return tokens[::-1], attention[::-1]
