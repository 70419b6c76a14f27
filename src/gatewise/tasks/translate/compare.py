"""Translators side by side on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.bootstrap import Floats
from gatewise.comparing.comparison import Comparison, check_enough
from gatewise.comparing.runs import check_runs, refuse_unlike
from gatewise.comparing.sentences import Written, compare_written
from gatewise.data.batches import bucketed_batches
from gatewise.data.pairs import Pairs, read_pairs
from gatewise.decoding.targets import Ids, target_sums
from gatewise.tasks.translate.config import TASK
from gatewise.tasks.translate.encode import collate, note_of_cut_sources
from gatewise.tasks.translate.fitted import MEASURED_AT_ONCE, FittedTranslator, load_fitted


def compare(
    runs: Sequence[str | Path],
    data: str | Path,
    targets: str | Path | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    **search: Any,
) -> Comparison:
    """Set translators side by side on pairs: the figures of `evaluate`, with the pairs as the bootstrap's examples.

    Args:
        runs: run folders, the first is the one that the others are compared with.
        data, targets: as of `read_pairs`, with the columns of each run.
        seed: of the bootstrap.
        search: beams, length_penalty, coverage_penalty, in place of each run's own.

    Raises:
        UsageError: runs that cannot be compared. RunError: a broken run.
        DataError: pairs that cannot be read, are too few, or that the runs read differently.
    """
    check_runs(runs, TASK)
    first: Pairs | None = None
    measured = []
    for run in runs:
        fitted = load_fitted(run, device=device)
        config = fitted.config
        pairs = read_pairs(data, targets, source=config.source or None, target=config.target or None)
        first = first or pairs
        if (pairs.sources, pairs.targets) != (first.sources, first.targets):
            refuse_unlike(run, pairs, runs[0], first, "pairs")
        check_enough(len(pairs), "pairs", pairs.source)
        measured.append(_measure(str(run), fitted, pairs, search))
    assert first is not None
    return compare_written(
        measured,
        [len(text) for text in first.targets],
        unit="pairs",
        seed=seed,
        data={"source": first.source, "sha256": first.sha256, "examples": len(first)},
        notes=first.notes,
    )


def _measure(run: str, fitted: FittedTranslator, pairs: Pairs, search: dict[str, Any]) -> Written:
    encoder = fitted.encoder
    sources, targets = encoder.whole_sources(pairs.sources), encoder.targets(pairs.targets)
    cut = sum(len(source) > encoder.max_length for source in sources)
    return Written(
        run,
        fitted.config,
        fitted.metrics,
        targets,
        _sums(fitted, encoder.cut(sources), targets),
        encoder.target.kind == "bpe",
        [one.text for one in fitted.translate(pairs.sources, **search)],
        [pairs.targets],
        notes=[note_of_cut_sources(cut, len(pairs), encoder.max_length)] if cut else [],
    )


def _sums(fitted: FittedTranslator, sources: Sequence[Ids], targets: Sequence[Ids]) -> Floats:
    """As `target_sums`, of each pair, [N, 3]."""
    device = next(fitted.network.parameters()).device
    found = np.empty((len(targets), 3))
    for batch in bucketed_batches([len(target) for target in targets], MEASURED_AT_ONCE):
        some = collate([sources[k] for k in batch], [targets[k] for k in batch], fitted.encoder)
        found[batch] = target_sums(fitted.network, some.to(device))
    return found
