"""How good written texts are: BLEU and chrF by sacrebleu, with its signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import UsageError


def scores(written: Sequence[str], *references: Sequence[str | None]) -> dict[str, Any]:
    """`bleu` and `chrf` (0 … 100) of whole, detokenised, cased texts, each with sacrebleu's signature.

    Args:
        references: a reference of every text; more of them where there are several, None where a text has fewer.

    Source: Papineni 2002; Popović 2015; Post 2018, "A call for clarity in reporting BLEU scores".

    Raises:
        UsageError: sacrebleu is not installed.
    """
    found: dict[str, Any] = {}
    streams: list[Any] = [[*stream] for stream in references]
    for name, metric in _metrics().items():
        found[name] = metric.corpus_score([*written], streams).score
        found[f"{name}_signature"] = str(metric.get_signature())
    return found


class SentenceSums(NamedTuple):
    """What a score is made of.

    Attributes:
        sums: what each of N texts adds, [N, S].
        score: of some texts from their sums [S].
        signature: sacrebleu's.
    """

    sums: NDArray[np.float64]
    score: Callable[[NDArray[np.float64]], float]
    signature: str


def sentence_sums(written: Sequence[str], *references: Sequence[str | None]) -> dict[str, SentenceSums]:
    """The scores of `scores` in a form that can be resampled: the parts that sacrebleu's own paired tests are made of.

    Raises:
        UsageError: sacrebleu is not installed.
    """
    streams: list[Any] = [[*stream] for stream in references]
    found = {}
    for name, metric in _metrics().items():
        sums = np.array(metric._extract_corpus_statistics([*written], streams), np.float64)
        found[name] = SentenceSums(sums, _score_of(metric), str(metric.get_signature()))
    return found


def _score_of(metric: Any) -> Callable[[NDArray[np.float64]], float]:
    # compute_bleu writes its smoothing into the counts that it is given
    return lambda sums: float(metric._compute_score_from_stats(sums.copy()).score)


def _metrics() -> dict[str, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise UsageError(f"BLEU needs sacrebleu; install it with {INSTALL}") from None
    return {"bleu": BLEU(), "chrf": CHRF()}


INSTALL = "pip install 'gatewise[translate]'"


def is_installed() -> bool:
    """Whether `scores` can be had."""
    from importlib.util import find_spec

    return find_spec("sacrebleu") is not None
