"""A training and a validation part, decided by a seed: drawn, or stratified by label with groups kept together."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import torch

from gatewise.errors import UsageError


def draw(n: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Divide n examples, two or more, by chance: the rising indices of training and of validation.

    Args:
        fraction: of the examples for validation, rounded; at least one goes to either side.
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    wanted = min(max(1, round(fraction * n)), n - 1)
    return sorted(order[wanted:]), sorted(order[:wanted])


def split(
    labels: Sequence[str], fraction: float, seed: int, groups: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide examples into training and validation.

    Each label gives `fraction` of its examples to validation, rounded, but at least one to either side where
    it has two or more; a label's only example goes to training. With groups the shares are as close as a
    random order of whole groups allows, and a label that is in two groups or more is on both sides (where
    each group has one label).

    Args:
        labels: one an example.
        fraction: of the examples for validation, above 0 and below 1.
        seed: decides the draw.
        groups: one an example; the examples of a group stay on one side.

    Returns:
        Rising indices, int64: training, validation.

    Raises:
        UsageError: a fraction out of bounds, groups that do not fit, or an example or group too few for two
            sides.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"the validation fraction is {fraction}; it must be above 0 and below 1")
    if groups is not None and len(groups) != len(labels):
        raise UsageError(f"there are {len(groups):,} groups for {len(labels):,} labels")
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups if groups is not None else range(len(labels))):
        members.setdefault(group, []).append(index)
    if len(members) < 2:
        what = "no example" if not members else "one example" if len(labels) == 1 else "one group"
        raise UsageError(f"{what} cannot be split into two parts")
    counts = [Counter(labels[index] for index in indices) for indices in members.values()]
    order = np.random.default_rng(seed).permutation(len(counts)).tolist()
    chosen = _repaired(counts, order, _draw(counts, order, fraction))
    sides = [[], []]
    for position, indices in enumerate(members.values()):
        sides[position in chosen] += indices
    return np.array(sorted(sides[0]), dtype=np.int64), np.array(sorted(sides[1]), dtype=np.int64)


def _draw(counts: list[Counter[str]], order: list[int], fraction: float) -> set[int]:
    """Walk through the groups and take each that brings validation closer to every label's target, summed."""
    total: Counter[str] = sum(counts, Counter())
    target = {label: _share(n, fraction) for label, n in total.items()}
    drawn: Counter[str] = Counter()
    chosen: set[int] = set()
    for position in order:
        gain = sum(
            abs(target[label] - drawn[label]) - abs(target[label] - drawn[label] - n)
            for label, n in counts[position].items()
        )
        if gain > 0:
            chosen.add(position)
            drawn += counts[position]
    return chosen


def _share(n: int, fraction: float) -> int:
    return min(max(int(n * fraction + 0.5), 1), n - 1)


def _repaired(counts: list[Counter[str]], order: list[int], chosen: set[int]) -> set[int]:
    """Where a label of two groups or more is on one side only, move the smallest of them across."""
    for label in sorted(set().union(*counts)):
        having = [position for position in order if label in counts[position]]
        inside = chosen.intersection(having)
        if len(having) > 1 and len(inside) in (0, len(having)):
            chosen = chosen ^ {min(having, key=lambda position: counts[position].total())}
    # Every label in one group: no label can be on both sides, but both sides must have something.
    if len(chosen) in (0, len(counts)):
        chosen = chosen ^ {min(order, key=lambda position: counts[position].total())}
    return chosen
