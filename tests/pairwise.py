"""Pairwise test cases: every pair of values of any two factors stands together in at least one case."""

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Case = dict[str, Any]


def pairwise(factors: Mapping[str, Sequence[Any]], seed: int) -> list[Case]:
    """A small set of cases that covers all pairs; another seed covers them with other company.

    Greedy: each case starts from a pair not yet covered and takes, factor by factor, the value that covers most new
    pairs with what stands already; ties are broken by chance.
    """
    rng = random.Random(seed)
    names = list(factors)
    open_pairs = {
        (a, i, b, j)
        for a, b in combinations(names, 2)
        for i in range(len(factors[a]))
        for j in range(len(factors[b]))
    }
    cases: list[Case] = []
    while open_pairs:
        a, i, b, j = rng.choice(sorted(open_pairs))
        chosen = {a: i, b: j}
        for name in rng.sample(names, len(names)):
            if name not in chosen:
                gains = [
                    len(_new_pairs(chosen, name, k, names) & open_pairs) for k in range(len(factors[name]))
                ]
                best = [k for k, gain in enumerate(gains) if gain == max(gains)]
                chosen[name] = rng.choice(best)
        open_pairs -= {(p, chosen[p], q, chosen[q]) for p, q in combinations(names, 2)}
        cases.append({name: factors[name][chosen[name]] for name in names})
    return cases


def _new_pairs(
    chosen: Mapping[str, int], name: str, value: int, names: Sequence[str]
) -> set[tuple[str, int, str, int]]:
    pairs = set()
    for other, index in chosen.items():
        if names.index(other) < names.index(name):
            pairs.add((other, index, name, value))
        else:
            pairs.add((name, value, other, index))
    return pairs


def many(factors: Mapping[str, Sequence[Any]], rounds: int) -> list[Case]:
    """The distinct cases of several rounds of `pairwise`, in a fixed order."""
    unique = {case_id(case): case for seed in range(rounds) for case in pairwise(factors, seed)}
    return list(unique.values())


def case_id(case: Case) -> str:
    """A readable name of a case for pytest."""
    return "-".join(
        f"{name}={value}" if isinstance(value, bool | int | float) else short(value)
        for name, value in case.items()
    )


def short(value: Any) -> str:
    return str(value).removeprefix("torch.")
