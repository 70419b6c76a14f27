"""Figures of runs that write sentences: how likely they find the right ones, and how good their own are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.bootstrap import Floats
from gatewise.comparing.comparison import TITLES, Comparison, compare
from gatewise.comparing.figures import Figure, bits, perplexity, ratio
from gatewise.comparing.runs import compared
from gatewise.decoding.scoring import INSTALL, is_installed, sentence_sums
from gatewise.decoding.targets import Ids

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Written:
    """What a run makes of N examples.

    Attributes:
        run: its folder. config, metrics: as it keeps them.
        targets: the right sentences of all examples as the run's numbers.
        sums: of each example nats, tokens that lead and tokens of its right sentences, ends included, [N, 3].
        exact: whether its vocabulary cuts a sentence without a loss, so that it can be measured by characters.
        texts: what the search writes, [N].
        references: the right sentences of each, in the form in which BLEU compares them; streams as of `sentence_sums`.
        right: whether each text is one of its right sentences, [N]; None where that is not asked.
        notes: on what of the examples this run did not read.
    """

    run: str
    config: DataclassInstance
    metrics: Mapping[str, Any]
    targets: Sequence[Ids]
    sums: Floats
    exact: bool
    texts: Sequence[str]
    references: Sequence[Sequence[str | None]]
    right: Sequence[bool] | None = None
    notes: Sequence[str] = ()


def compare_written(
    runs: Sequence[Written],
    characters: Sequence[int],
    *,
    unit: str,
    seed: int,
    data: Mapping[str, Any],
    notes: Sequence[str],
) -> Comparison:
    """Set the runs side by side.

    Loss, perplexity and accuracy a token are there where all runs cut the right sentences into the same tokens; else
    bits a character, where no vocabulary loses any.

    Args:
        characters: of the right sentences of each example, [N].
        unit, seed, data, notes: see `Comparison`.
    """
    alike = all(_same(one.targets, runs[0].targets) for one in runs)
    exact = all(one.exact for one in runs)
    said = [*notes, *(f"{one.run}: {note}" for one in runs for note in one.notes)]
    if not alike:
        instead = "bits a character stand in the place of" if exact else "there is no figure in the place of"
        said.append(
            f"the runs cut the sentences into different tokens, so that {instead} loss, perplexity and accuracy a token"
        )
    if is_installed():
        if any(one.references != runs[0].references for one in runs):
            said.append(
                "the runs write the right sentences differently, such as their case; BLEU, chrF and exact take each "
                "run's own form"
            )
        each = [sentence_sums(one.texts, *one.references) for one in runs]
        said += [f"{TITLES[name]}: {found.signature}" for name, found in each[0].items()]
    else:
        each = [{} for _ in runs]
        said.append(f"no BLEU: sacrebleu is not installed ({INSTALL})")
    found = []
    for one, scored in zip(runs, each, strict=True):
        figures = _likelihoods(one, characters, alike, exact)
        if one.right is not None:
            figures.append(ratio("exact", one.right, np.ones(len(one.right))))
        figures += [Figure(name, score.sums, score.score) for name, score in scored.items()]
        found.append(compared(one.run, figures, one.config, one.metrics))
    return compare(found, unit=unit, seed=seed, data=data, notes=said)


def _likelihoods(run: Written, characters: Sequence[int], alike: bool, exact: bool) -> list[Figure]:
    nats, right, tokens = run.sums.T
    if alike:
        return [ratio("loss", nats, tokens), perplexity(nats, tokens), ratio("accuracy", right, tokens)]
    return [bits("character", nats, characters)] if exact else []


def _same(left: Sequence[Ids], right: Sequence[Ids]) -> bool:
    return len(left) == len(right) and all(map(np.array_equal, left, right))
