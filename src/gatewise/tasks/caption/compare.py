"""Captioners side by side on the same pictures or clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatewise.bootstrap import Floats
from gatewise.comparing.comparison import Comparison, check_enough
from gatewise.comparing.runs import check_runs, refuse_unlike
from gatewise.comparing.sentences import Written, compare_written
from gatewise.data.captions import Captions, read_captions
from gatewise.data.wording import count
from gatewise.decoding.targets import Ids, target_sums
from gatewise.tasks.caption.config import TASK
from gatewise.tasks.caption.encode import collate, encode_sentences
from gatewise.tasks.caption.fitted import AT_ONCE, FittedCaptioner, check_kind, load_fitted, source_of


def compare(
    runs: Sequence[str | Path],
    pictures: str | Path,
    captions: str | Path,
    *,
    seed: int = 0,
    device: str = "auto",
    **search: Any,
) -> Comparison:
    """Set captioners side by side: the figures of `evaluate`, with the pictures or clips as the bootstrap's examples.

    Args:
        runs: run folders, the first is the one that the others are compared with.
        pictures, captions: as of `read_captions`, with the columns of each run.
        seed: of the bootstrap.
        search: beams, length_penalty, coverage_penalty, in place of each run's own.

    Raises:
        UsageError: runs that cannot be compared. RunError: a broken run.
        DataError: pictures or sentences that cannot be read, are too few, of the wrong kind, or that the runs read
            differently.
    """
    check_runs(runs, TASK)
    first: Captions | None = None
    measured = []
    for run in runs:
        fitted = load_fitted(run, device=device)
        config = fitted.config
        data = read_captions(pictures, captions, image=config.image or None, caption=config.caption or None)
        first = first or data
        if (data.names, data.captions) != (first.names, first.captions):
            refuse_unlike(run, data, runs[0], first, "sentences")
        check_kind(data, config)
        check_enough(len(data), "clips" if data.video else "pictures", data.source)
        measured.append(_measure(str(run), fitted, data, search))
    assert first is not None
    return compare_written(
        measured,
        [sum(map(len, some)) for some in first.captions],
        unit="clips" if first.video else "pictures",
        seed=seed,
        data=source_of(first),
        notes=first.notes,
    )


def _measure(run: str, fitted: FittedCaptioner, data: Captions, search: dict[str, Any]) -> Written:
    vocabulary, looker = fitted.vocabulary, fitted.looker
    targets, cut = encode_sentences(vocabulary, data.captions, fitted.config.max_length)
    sights = [looker(files) for files in data.files]
    texts = [row[0].text for row in fitted.candidates_of(sights, **search)]
    return Written(
        run,
        fitted.config,
        fitted.metrics,
        [ids for some in targets for ids in some],
        _sums(fitted, sights, targets),
        vocabulary.kind == "bpe" and not cut,
        texts,
        fitted.references(data),
        fitted.are_right(texts, targets),
        [f"{count(cut, 'sentence')} cut to {fitted.config.max_length} tokens (max_length)"] if cut else [],
    )


def _sums(fitted: FittedCaptioner, sights: Sequence[Tensor], targets: Sequence[Sequence[Ids]]) -> Floats:
    """As `target_sums`, over the sentences of each picture, [N, 3]."""
    found = np.zeros((len(sights), 3))
    for start in range(0, len(sights), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        batch = collate(sights[some], targets[some], fitted.vocabulary).to(fitted.device)
        np.add.at(found[some], batch.owners.cpu().numpy(), target_sums(fitted.network, batch).numpy())
    return found
