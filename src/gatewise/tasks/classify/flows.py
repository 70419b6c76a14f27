"""How the gradient of a classifier's score travels back from the last step, for one or for several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gatewise.errors import UsageError
from gatewise.memory import gradient_flow
from gatewise.reports.page import FlowCurve
from gatewise.tasks.classify.deletion import contrast
from gatewise.tasks.classify.fitted import FittedClassifier


def flow_curves(
    fitted: FittedClassifier, beside: Sequence[FittedClassifier], x: Any, label: str
) -> list[FlowCurve]:
    """The curve of a model and of others on the same input, named after their cells; none for an input without steps.

    Raises:
        UsageError: a model beside that was trained on other labels, or on another kind of input.
    """
    curves: list[FlowCurve] = []
    for model in (fitted, *beside):
        _check_labels(fitted, model)
        name = model.config.cell.upper()
        again = sum(curve.name.split(" (")[0] == name for curve in curves)
        curves += _curve(model, x, label, f"{name} ({again + 1})" if again else name)
    return curves


def _check_labels(fitted: FittedClassifier, other: FittedClassifier) -> None:
    ours, theirs = sorted(map(str, fitted.labels)), sorted(map(str, other.labels))
    if ours != theirs:
        raise UsageError(
            f"the {other.config.cell} model beside the explained one has the labels {', '.join(theirs)}; it must have "
            f"the same, {', '.join(ours)}"
        )


@torch.no_grad()
def _curve(fitted: FittedClassifier, x: Any, label: str, name: str) -> list[FlowCurve]:
    """The gradient of v·h_T, h_T the top layer's forward state at the last step, v the score's direction on it.

    By the memory that is carried: c of an LSTM, h of the others.
    """
    network = fitted.network
    (array,) = fitted.encoder.cut(fitted.encoder.full([x]))
    if not len(array):
        return []
    inputs, lengths = (t.to(network.output.weight.device) for t in fitted.encoder.collate([array]))
    read = network.embedding(inputs) if network.embedding else inputs
    chosen = [str(one) for one in fitted.labels].index(label)
    v = contrast(network.output.weight, chosen)[: fitted.config.hidden_size]
    flow = gradient_flow(
        network.recurrent, {"x": read, "lengths": lengths}, lambda found: found[0][-1, 0, : len(v)] @ v
    )
    top = [layer for layer in flow.layers() if not layer.reverse][-1]
    highway = None if top.highway is None else top.profile("highway").tolist()
    return [FlowCurve(name, top.profile("h" if top.dc is None else "c").tolist(), highway)]
