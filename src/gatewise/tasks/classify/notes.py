"""What a reader of an explanation must know of the model that it is of."""

from __future__ import annotations

from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.evidence import MOST_OCCLUDED
from gatewise.tasks.classify.fitted import FittedClassifier


def notes_on(fitted: FittedClassifier, is_sum: bool, *, not_occluded: bool) -> list[str]:
    """One sentence for each thing that makes the numbers mean less than they seem to.

    Args:
        is_sum: the layer that is read keeps a sum, so there are held and push.
        not_occluded: the input was too long for leaving out every step by itself.
    """
    config, is_text = fitted.config, isinstance(fitted.encoder, TextEncoder)
    step = "word" if is_text else "step"
    is_deep = len(config.cells) * config.num_layers > 1
    notes = (
        (
            not is_sum,
            "the layer that the answer reads is a plain RNN, whose memory is no sum of what was written: there is no "
            f"held and no push, and {step}s are ranked by occlusion",
        ),
        (
            is_sum and is_deep,
            f"this is the top layer of several: what it writes at a {step} may stem from {step}s before it",
        ),
        (
            is_sum and is_deep and not is_text,
            "the layer that is read does not read the values themselves, so no push is divided over the variables",
        ),
        (
            is_sum and config.bidirectional,
            f"one half of the model reads from the end: what it writes at a {step} may stem from {step}s after it",
        ),
        (
            is_sum and is_text and config.bigrams > 0,
            "the model also reads pairs: a word's push holds that of the pair it ends",
        ),
        (
            not_occluded,
            f"there are more than {MOST_OCCLUDED:,} {step}s: none was left out by itself (occlusion)",
        ),
    )
    return [text for holds, text in notes if holds]
