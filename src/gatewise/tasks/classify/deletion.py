"""What a classifier answers when some steps of an input are left out.

Of a text the words are taken out of its ids, so that their neighbours come together and may form new word pairs. Of a
numeric sequence the step stays and its values become 0, the mean of the training part: a sequence with a step less
would be another signal in time. Either is an input that the model has hardly seen, and its answer is to be read so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import BATCH, FittedClassifier, network_logits
from gatewise.training.metrics import log_softmax


def variants(fitted: FittedClassifier, array: np.ndarray, left_out: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logits of one input without some of its steps, before the temperature.

    Args:
        array: the input as the network reads it: ids [T], or scaled values [T, F].
        left_out: [M, T], True at the steps that variant m lacks.

    Returns:
        [M, K], computed in batches of similar lengths that are built one at a time.
    """
    found = np.zeros((len(left_out), len(fitted.labels)))
    shortest_first = np.argsort(-left_out.sum(1), kind="stable")
    for start in range(0, len(left_out), BATCH):
        rows = shortest_first[start : start + BATCH]
        arrays = [_without(fitted, array, left_out[row]) for row in rows]
        found[rows] = network_logits(fitted.network, fitted.encoder, arrays)
    return found


def _without(fitted: FittedClassifier, array: np.ndarray, left_out: NDArray[np.bool_]) -> np.ndarray:
    if isinstance(fitted.encoder, TextEncoder):
        return array[~left_out]
    return np.where(left_out[:, None], np.float32(0), array)


def contrast(rows: Any, chosen: int) -> Any:
    """Row `chosen` minus the mean of the others, of an array or a tensor [K, ...]: of logits the score of a label."""
    return rows[chosen] - (rows.sum(0) - rows[chosen]) / (len(rows) - 1)


def calibrated(fitted: FittedClassifier, logits: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    """The probability of a label after the temperature, for logits [M, K]: [M]."""
    return np.exp(log_softmax(logits / fitted.temperature))[:, chosen]
