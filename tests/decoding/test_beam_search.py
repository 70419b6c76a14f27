"""Beam search on tables of probabilities whose best sequences are known, and against all sequences there are."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch

from gatewise.decoding.beam_search import Search, beam_search
from gatewise.errors import UsageError

BEGIN, END, A, B = 0, 1, 2, 3


@dataclass
class Prefixes:
    """A decoder that is a table: the state is what each beam has written, [K][B] tuples."""

    written: list[list[tuple[int, ...]]]

    def select(self, beams):
        return Prefixes([[self.written[k][b] for b, k in enumerate(row)] for row in beams.tolist()])


def stepper(tables, attention=None):
    """`tables[b][prefix]` are the probabilities of the next token of row b."""

    def step(tokens, state):
        K, rows = tokens.shape
        grown = [
            [state.written[k][b] + ((t,) if (t := int(tokens[k, b])) != BEGIN else ()) for b in range(rows)]
            for k in range(K)
        ]
        log_p = torch.stack(
            [torch.stack([table(tables[b], grown[k][b]) for b in range(rows)]) for k in range(K)]
        )
        weights = torch.ones(K, rows, 1) if attention is None else attention(grown)
        return log_p.log(), weights, Prefixes(grown)

    return step


def table(probabilities, prefix):  # beams of no probability ask for prefixes that have no entry
    return torch.tensor(probabilities.get(prefix, [0, 1, 0, 0]), dtype=torch.float64)


def search_tables(tables, search, attention=None, steps=1, longest=None):
    start = Prefixes([[()] * len(tables)])
    inside = torch.ones(steps, len(tables), dtype=torch.bool)
    step = stepper(tables, attention)
    return beam_search(step, start, inside, search, begin=BEGIN, end=END, longest=longest)


# Greedy takes A (0.6) and ends at 0.6 * 0.4; the best sequence is B, which ends at 0.4 * 0.9 = 0.36.
MISLEADING = {
    (): [0, 0, 0.6, 0.4],
    (A,): [0, 0.4, 0.3, 0.3],
    (B,): [0, 0.9, 0.05, 0.05],
} | {(x, y): [0, 1, 0, 0] for x in (A, B) for y in (A, B)}  # fmt: skip


def test_greedy_follows_the_best_token_and_two_beams_find_the_best_sequence():
    plain = {"length_penalty": 0.0, "longest": 5}
    (greedy,) = search_tables([MISLEADING], Search(beams=1, **plain))
    assert greedy[0].tokens == [A]
    assert greedy[0].log_probability == pytest.approx(math.log(0.24))
    (wide,) = search_tables([MISLEADING], Search(beams=2, **plain))
    assert wide[0].tokens == [B]
    assert wide[0].log_probability == pytest.approx(math.log(0.36))
    assert wide[0].complete
    assert wide[0].attention.shape == (2, 1)


def test_length_normalisation_prefers_the_longer_of_two():
    # "A end": 0.52 over |Y| = 2; "B A A end": 0.48 over |Y| = 4. lp(2) = 7/6, lp(4) = 9/6 with alpha 1.
    probabilities = {
        (): [0, 0, 0.52, 0.48],
        (A,): [0, 1, 0, 0],
        (B,): [0, 0, 1, 0],
        (B, A): [0, 0, 1, 0],
        (B, A, A): [0, 1, 0, 0],
    }
    assert search_tables([probabilities], Search(2, 6, length_penalty=0.0))[0][0].tokens == [A]
    (found,) = search_tables([probabilities], Search(2, 6, length_penalty=1.0))
    assert [h.tokens for h in found] == [[B, A, A], [A]]
    assert found[0].score == pytest.approx(math.log(0.48) / 1.5)
    assert found[1].score == pytest.approx(math.log(0.52) / (7 / 6))


def test_coverage_prefers_the_sequence_that_read_everything():
    # A reads step 0 and ends reading step 0; B reads step 0 and ends reading step 1.
    probabilities = {(): [0, 0, 0.6, 0.4], (A,): [0, 1, 0, 0], (B,): [0, 1, 0, 0]}

    def attention(grown):
        second = torch.tensor([[written == (B,) for written in row] for row in grown]).float()
        return torch.stack((1 - second, second), -1).double()

    plain = Search(2, 4, length_penalty=0.0)
    assert search_tables([probabilities], plain, attention, 2)[0][0].tokens == [A]
    covering = Search(2, 4, length_penalty=0.0, coverage_penalty=0.1)
    (found,) = search_tables([probabilities], covering, attention, 2)
    assert [h.tokens for h in found] == [[B], [A]]
    assert found[0].score == pytest.approx(math.log(0.4))
    assert found[1].score == pytest.approx(math.log(0.6) + 0.1 * math.log(1e-9))
    assert found[0].attention.tolist() == [[1, 0], [0, 1]]


def test_what_never_ends_is_cut_and_says_so():
    (found,) = search_tables([{(A,) * n: [0, 0, 1, 0] for n in range(9)}], Search(1, 3))
    assert found[0].tokens == [A, A, A]
    assert not found[0].complete
    assert found[0].attention.shape == (3, 1)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_with_a_beam_for_everything_it_finds_the_best_of_all_sequences(seed, alpha):
    generator = torch.Generator().manual_seed(seed)
    longest = 3
    prefixes = [p for n in range(longest + 1) for p in itertools.product((A, B), repeat=n)]
    tables = []
    for _ in range(2):  # two rows, that must not disturb each other
        p = torch.rand(len(prefixes), 4, generator=generator, dtype=torch.float64)
        p[:, BEGIN] = 0
        tables.append(dict(zip(prefixes, (p / p.sum(1, keepdim=True)).tolist(), strict=True)))
    search = Search(beams=20, longest=longest, length_penalty=alpha)
    for probabilities, found in zip(tables, search_tables(tables, search), strict=True):
        scores = {}
        for prefix in prefixes:
            log_p = sum(math.log(probabilities[prefix[:n]][t]) for n, t in enumerate((*prefix, END)))
            scores[prefix] = log_p / ((5 + len(prefix) + 1) / 6) ** alpha
        best = max(scores, key=scores.__getitem__)
        assert tuple(found[0].tokens) == best
        assert found[0].score == pytest.approx(scores[best], rel=1e-6)


def test_rows_are_searched_as_they_are_alone():
    generator = torch.Generator().manual_seed(1)
    prefixes = [p for n in range(6) for p in itertools.product((A, B), repeat=n)]
    tables = []
    for _ in range(4):
        p = torch.rand(len(prefixes), 4, generator=generator, dtype=torch.float64)
        p[:, BEGIN] = 0
        tables.append(dict(zip(prefixes, (p / p.sum(1, keepdim=True)).tolist(), strict=True)))
    search = Search(beams=3, longest=5)
    together = search_tables(tables, search)
    for row, probabilities in zip(together, tables, strict=True):
        (alone,) = search_tables([probabilities], search)
        assert [(h.tokens, h.score) for h in row] == [(h.tokens, h.score) for h in alone]


def test_each_row_is_as_long_as_its_own_limit_allows():
    endless = {(A,) * n: [0, 0, 1, 0] for n in range(9)}
    late = endless | {(A,) * 5: [0, 1, 0, 0]}
    found = search_tables([endless, late, late, late], Search(1), longest=[2, 4, 5, 7])
    assert [row[0].tokens for row in found] == [[A] * 2, [A] * 4, [A] * 5, [A] * 5]
    assert [row[0].complete for row in found] == [False, False, True, True]
    assert [len(row[0].attention) for row in found] == [2, 4, 6, 6]


def test_rows_of_different_limits_are_searched_as_they_are_alone():
    generator = torch.Generator().manual_seed(2)
    prefixes = [p for n in range(6) for p in itertools.product((A, B), repeat=n)]
    tables = []
    for _ in range(20):
        p = torch.rand(len(prefixes), 4, generator=generator, dtype=torch.float64)
        p[:, BEGIN], p[:, END] = 0, p[:, END] / 3  # many are cut
        tables.append(dict(zip(prefixes, (p / p.sum(1, keepdim=True)).tolist(), strict=True)))
    limits = [1 + k % 5 for k in range(20)]
    together = search_tables(tables, Search(beams=2, length_penalty=0.5), longest=limits)
    assert {row[0].complete for row in together} == {True, False}
    for row, probabilities, longest in zip(together, tables, limits, strict=True):
        (alone,) = search_tables([probabilities], Search(beams=2, longest=longest, length_penalty=0.5))
        assert [(h.tokens, h.score, h.complete) for h in row] == [
            (h.tokens, h.score, h.complete) for h in alone
        ]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"beams": 0}, "beams is 0; it must be 1 or more"),
        ({"longest": 0}, "longest is 0; it must be 1 or more"),
        ({"length_penalty": -1.0}, "length_penalty is -1.0; it must be 0 or more"),
        ({"coverage_penalty": math.nan}, "coverage_penalty is nan; it must be 0 or more"),
    ],
)
def test_values_out_of_range_are_refused(wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        Search(**wrong)
