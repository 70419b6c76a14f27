"""What may be put in the place of a gate or a state while a step is computed."""

from collections.abc import Callable

from torch import Tensor

Change = Callable[[str, Tensor], Tensor]
"""Given the name and value of each gate and new state as soon as the step has it; what it returns is used instead."""


def unchanged(name: str, value: Tensor) -> Tensor:
    """The change of a step that runs as it is defined."""
    return value
