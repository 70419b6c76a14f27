"""What a reader must know of a layer's numbers: cautions before they are trusted, and what they do not show."""

from __future__ import annotations

from collections.abc import Sequence

from gatewise.memory import LayerTrace
from gatewise.memory.opening import MISMATCH
from gatewise.reports.layer_view import place
from gatewise.reports.reading import Reading


def cautions(layers: Sequence[LayerTrace], reading: Reading | None) -> list[str]:
    """What makes the numbers doubtful: gates that do not fit the layer, an answer that reads more than h.

    Args:
        layers: one row each, the top layer first.
    """
    found = []
    for lt in layers:
        largest = float(lt.h.abs().max())
        if lt.residual > MISMATCH * largest:
            found.append(
                f"the gates of {place(lt)} give an h that differs by {lt.residual:.2g} from the layer's own, whose "
                f"largest is {largest:.2g}: they may not be the gates that it used"
            )
    return found + (list(reading.left_out) if reading else [])


def limits(
    layers: Sequence[LayerTrace], unit: str, reading: Reading | None, *, has_belt: bool = True
) -> list[str]:
    """What a page on recorded layers does not show, in sentences.

    Args:
        layers: the top layer first. unit: what a step is called. has_belt: False where the sequence is too long for it.
    """
    is_sum = bool(layers[0].gates)
    sentences = (
        (
            not is_sum,
            f"A plain RNN keeps no sum of what it wrote, so no {unit} has a part that is held, or a push.",
        ),
        (
            is_sum,
            f"Held and push belong to the {unit} at which the layer wrote, with its gates as they were: the gates "
            f"themselves also depend on the {unit}s before.",
        ),
        (
            True,
            f"What stands before the layer in the model is not opened: if it mixes {unit}s, as a convolution does, "
            f"what is read at a {unit} is more than that {unit}.",
        ),
        (
            layers[0].layer > 0,
            f"An upper layer reads what the layer below made of all {unit}s so far: what it writes at a {unit} may "
            "stem from earlier ones.",
        ),
        (
            any(lt.reverse for lt in layers),
            f"A reverse layer reads from the end: what it writes at a {unit} may stem from the {unit}s after it.",
        ),
        (
            is_sum and reading is None,
            f"No answer was named, so nothing is pushed; held is the share of the memory after the last {unit}.",
        ),
        (
            is_sum and reading is not None and reading.constant is not None,
            "The answer is read by its gradient at this input: exactly, where it is linear in the hidden states; else "
            "the constant also holds what a linear reading leaves over.",
        ),
        (
            is_sum and not has_belt,
            f"The belt is left out: {layers[0].h.shape[0]:,} {unit}s are too many for it.",
        ),
    )
    return [sentence for holds, sentence in sentences if holds]
