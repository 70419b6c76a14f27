"""Where in a corpus a classifier's memory was as it is after a text."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gatewise.data.texts import Texts
from gatewise.data.tokenizer import kept_positions
from gatewise.errors import DataError, UsageError
from gatewise.memory import Neighbour, StateIndex
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.states import chosen_state, content, top_layers


def nearest_states(
    fitted: FittedClassifier,
    data: Texts,
    text: str,
    *,
    count: int = 5,
    metric: str = "euclidean",
    state: str | None = None,
) -> list[Neighbour]:
    """The places in the texts of `data` where the top layer's forward state was nearest to that at the end of `text`.

    The states of all words of all texts are held: 8·N·H bytes for N words and H units.

    Args:
        data: texts; where they have labels, neighbours name them. `Neighbour.sequence` is the place in `data`.
        count: 1 or more.
        metric: "euclidean" or "cosine".
        state: "c" or "h"; None: c of an LSTM, h of the others.

    Raises:
        UsageError: a run of numeric sequences; scikit-learn is not installed; another metric or count; a state that
            the cell does not have.
        DataError: the text, or every text of `data`, is empty.
    """
    encoder = fitted.encoder
    if not isinstance(encoder, TextEncoder):
        raise UsageError("nearest states are those of texts, and this run reads numeric sequences")
    encoded = [
        one.take(kept_positions(len(one), encoder.max_length, encoder.where))
        for one in encoder.tokenizer.encode_batch([*data.texts, text])
    ]
    asked = len(data.texts)
    places = [k for k in range(asked) if len(encoded[k])]
    if not places or not len(encoded[asked]):
        raise DataError(f"{data.source}: every text is empty" if not places else "the text is empty")
    states: dict[int, Tensor] = {}
    arrays = [np.array(encoded[k].ids) for k in (*places, asked)]
    for batch, (lt, *_) in top_layers(fitted, arrays):
        values = content(lt, chosen_state(lt, state))[0].cpu()
        states |= {k: values[: len(arrays[k]), b] for b, k in enumerate(batch)}
    index = StateIndex(
        [states[k] for k in range(len(places))],
        words=[encoded[k].tokens for k in places],
        labels=None if data.labels is None else [data.labels[k] for k in places],
        metric=metric,
    )
    found = index.query(states[len(places)][-1], count)
    return [one._replace(sequence=places[one.sequence]) for one in found]
