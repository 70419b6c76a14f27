"""How good written texts are: BLEU and chrF by sacrebleu, with its signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatewise.errors import UsageError


def scores(written: Sequence[str], *references: Sequence[str | None]) -> dict[str, Any]:
    """`bleu` and `chrf` (0 … 100) of whole, detokenised, cased texts, each with sacrebleu's signature.

    Args:
        references: a reference of every text; more of them where there are several, None where a text has fewer.

    Source: Papineni 2002; Popović 2015; Post 2018, "A call for clarity in reporting BLEU scores".

    Raises:
        UsageError: sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise UsageError(f"BLEU needs sacrebleu; install it with {INSTALL}") from None
    found: dict[str, Any] = {}
    streams: list[Any] = [[*stream] for stream in references]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        found[name] = metric.corpus_score([*written], streams).score
        found[f"{name}_signature"] = str(metric.get_signature())
    return found


INSTALL = "pip install 'gatewise[translate]'"


def is_installed() -> bool:
    """Whether `scores` can be had."""
    from importlib.util import find_spec

    return find_spec("sacrebleu") is not None
