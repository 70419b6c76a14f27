"""Length by truncating history: how many last steps give the answer that all of them give."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.memory.effective_length.result import EffectiveLength
from gatewise.memory.in_graph import run_model
from gatewise.memory.readout import Target, answer_of

TOLERANCE = 0.01
"""Of the largest full answer, where no tolerance is given."""
Cut = Callable[[Any, int], Any]


def truncation_length(
    run: Callable[[int], Tensor], steps: int, *, tolerance: float | None = None, counts: Sequence[int] = ()
) -> EffectiveLength:
    """The fewest last steps from which on the answer stays within a tolerance of the full one.

    Args:
        run: from k to the answers [B] of a model that is fed the last k steps alone, from its own initial state.
        steps: T; `run(T)` gives the full answers.
        tolerance: the largest difference, in units of the answer; None: 1 % of the largest full answer.
        counts: the k to be tried, each from 1 to T; empty: 1, 2, 4, …; T is tried in any case.

    Returns: the length, with `rows` [B], and the curve at the k that were tried. It is the smallest k tried from which
    on all larger ones tried are within the tolerance too; one in between may be less.

    Raises:
        UsageError: no steps; a k or a tolerance out of range; answers that are not [B], or not finite.
    """
    tried = _tried(counts, steps)
    answers = [_checked(run(k), k) for k in tried]
    if any(answer.shape != answers[-1].shape for answer in answers):
        shapes = sorted({tuple(answer.shape) for answer in answers})
        raise UsageError(
            f"the answers have shapes {shapes[0]} and {shapes[-1]}; they must be [B] for every k"
        )
    differences = torch.stack([(answer - answers[-1]).abs() for answer in answers])  # [K, B]
    level = TOLERANCE * float(answers[-1].abs().max()) if tolerance is None else tolerance
    if not 0 <= level < float("inf"):
        raise UsageError(f"tolerance is {tolerance}; it must be a number of at least 0")
    beyond = differences > level
    last_beyond = torch.where(beyond.any(0), len(tried) - 1 - beyond.flip(0).int().argmax(0), -1)  # [B]
    rows = torch.tensor(tried)[last_beyond + 1]
    return EffectiveLength(
        "truncation",
        float(rows.max()),
        torch.tensor(tried),
        differences.max(1).values,
        level,
        rows=rows,
        where="the model",
    )


def _tried(counts: Sequence[int], steps: int) -> list[int]:
    if steps < 1:
        raise UsageError(f"there are {steps} steps; a history needs one at least")
    wrong = [k for k in counts if not 1 <= k <= steps]
    if wrong:
        raise UsageError(f"counts holds {wrong[0]}; with {steps} steps it takes 1 to {steps}")
    return sorted({*(counts or (2**n for n in range(steps.bit_length()) if 2**n < steps)), steps})


def _checked(answer: Tensor, k: int) -> Tensor:
    found = answer.detach().double().cpu()
    if found.dim() != 1 or not len(found):
        raise UsageError(
            f"the answer to {k} steps has shape {tuple(found.shape)}; it must be [B], B 1 or more"
        )
    if not bool(found.isfinite().all()):
        row = int((~found.isfinite()).nonzero()[0])
        raise UsageError(f"the answer of row {row} to the last {k} steps is {float(found[row])}")
    return found


def runner(
    model: nn.Module, inputs: Any, target: Target, cut: Cut | None, shape: tuple[int, int], time: int
) -> Callable[[int], Tensor]:
    """`run` of `truncation_length` for a model.

    Args:
        cut: from the inputs and k to inputs of the last k steps; None: the inputs hold one tensor, which is cut.
        shape: (T, B) of the recurrent module's input.
        time: the dimension of time in that tensor.
    """
    shorten = cut or _cut_along(inputs, time, shape[0])

    def run(k: int) -> Tensor:
        return answer_of(run_model(model, shorten(inputs, k)), target, shape[1])

    return run


def _cut_along(inputs: Any, time: int, steps: int) -> Cut:
    parts = (
        list(inputs.values())
        if isinstance(inputs, Mapping)
        else list(inputs)
        if type(inputs) is tuple
        else [inputs]
    )
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(tensors) != 1 or tensors[0].dim() <= time or tensors[0].shape[time] != steps:
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors) or "none"
        raise UsageError(
            f"the inputs hold the tensors {shapes}; to feed the last k of {steps} steps alone, one with {steps} in "
            f"dimension {time} is needed, or cut=, a function from the inputs and k to inputs of the last k steps"
        )

    def shortened(part: Any, k: int) -> Any:
        return part.narrow(time, steps - k, k) if part is tensors[0] else part

    def cut(given: Any, k: int) -> Any:
        if isinstance(given, Mapping):
            return {name: shortened(part, k) for name, part in given.items()}
        return tuple(shortened(part, k) for part in given) if type(given) is tuple else shortened(given, k)

    return cut
