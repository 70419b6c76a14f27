"""The states of the layer that a classifier's answer reads, over many inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from gatewise.data.batches import bucketed_batches
from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, record
from gatewise.tasks.classify.encode import Arrays
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.opened import by_depth, top_of

State = Literal["c", "h"]
STEPS_AT_ONCE = 50_000
"""Steps of a batch, whose gates are all kept."""


@torch.no_grad()
def recorded(fitted: FittedClassifier, arrays: Arrays) -> Iterator[tuple[list[int], dict[str, LayerTrace]]]:
    """All layers by name (`by_depth`), batch by batch, with the places of the inputs in each batch.

    Args:
        arrays: inputs as the encoder cuts them.
    """
    network, lengths = fitted.network, [len(array) for array in arrays]
    device = next(network.parameters()).device
    for batch in bucketed_batches(lengths, max(1, STEPS_AT_ONCE // max([1, *lengths]))):
        x, sizes = (t.to(device) for t in fitted.encoder.collate([arrays[i] for i in batch]))
        with record(network.recurrent) as trace:
            network.hidden(x, sizes)
        yield batch, by_depth(trace)


def top_layers(fitted: FittedClassifier, arrays: Arrays) -> Iterator[tuple[list[int], list[LayerTrace]]]:
    """The top layer's traces, one a direction, of what was `recorded`."""
    for batch, layers in recorded(fitted, arrays):
        yield batch, top_of(layers)


def chosen_state(lt: LayerTrace, state: str | None) -> State:
    """What is looked at: the memory that is carried, c of an LSTM and h of the others, unless it is named.

    Raises:
        UsageError: a state that the cell does not have.
    """
    if state not in (None, "c", "h"):
        raise UsageError(f"state is {state!r}; it can be 'c' or 'h'")
    if state == "c" and lt.c is None:
        raise UsageError(f"state is 'c', and a {lt.cell} has no cell state; 'h' is there")
    return "h" if state == "h" or lt.c is None else "c"


def content(lt: LayerTrace, state: State) -> tuple[Tensor, Tensor]:
    """The states [T, B, H] and the initial one [B, H]."""
    if state == "h":
        return lt.h, lt.h0
    assert lt.c is not None and lt.c0 is not None
    return lt.c, lt.c0
