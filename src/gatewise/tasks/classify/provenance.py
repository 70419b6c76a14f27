"""What a run was made from and how: the part of `metrics.json` that is no figure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn

from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.tasks.classify.config import TASK, ClassifyConfig
from gatewise.training.options import Outcome
from gatewise.training.provenance import trained, versions


def provenance(
    train: Texts | Series,
    validation: Texts | Series | None,
    config: ClassifyConfig,
    outcome: Outcome,
    network: nn.Module,
    *,
    given: bool,
) -> dict[str, Any]:
    """What `metrics.json` says besides the figures: data with hashes, split, training, versions.

    Args:
        given: whether the validation part was handed in, and not held out of the training data.
    """
    described: dict[str, Any] = {
        "format": 1,
        "task": TASK,
        "data": _source(train),
        "split": {
            "training": len(train),
            "validation": len(validation) if validation is not None else 0,
            "how": "given" if given else f"{config.validation:g} held out by label, seed {config.seed}",
        },
        "training": trained(outcome, network),
        "versions": versions(),
    }
    if given and validation is not None:
        described["validation_data"] = _source(validation)
    return described


def _source(data: Texts | Series) -> dict[str, Any]:
    return {
        "source": data.source,
        "sha256": data.sha256,
        "examples": len(data),
        "labels": dict(sorted(Counter(data.labels or []).items())),
    }
