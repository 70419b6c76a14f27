"""`attribute`: one door to every method."""

from typing import Any

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.memory.attribution import (
    beta_gamma,
    contextual_decomposition,
    integrated_gradients,
    lrp,
    occlusion,
    push,
)
from gatewise.memory.attribution.case import Method, case_of, in_eval
from gatewise.memory.attribution.result import Attribution
from gatewise.memory.readout import Target

_HEAD = "the answer without the head's constant"
METHODS: dict[str, tuple[Method, str]] = {  # and what the scores sum to
    "push": (push.shares, f"{_HEAD} and what the initial states pushed, exactly"),
    "beta": (beta_gamma.beta, f"{_HEAD} and what is read of the initial cell state, exactly"),
    "gamma": (beta_gamma.gamma, f"{_HEAD} and what is read of the initial cell state, exactly"),
    "cd": (
        contextual_decomposition.shares,
        f"{_HEAD}, up to what the steps do together and what the initial states do",
    ),
    "lrp": (
        lrp.shares,
        f"{_HEAD} and the relevance of the initial states, up to the share of the biases and of ε",
    ),
    "ig": (
        integrated_gradients.shares,
        "the answer less that at the baseline, up to the error of the quadrature",
    ),
    "occlusion": (
        occlusion.shares,
        "nothing by construction; the residual compares with the answer less that at the baseline",
    ),
}


def attribute(
    model: nn.Module,
    inputs: Any,
    target: Target,
    method: str = "push",
    *,
    at: str | None = None,
    baseline: Tensor | None = None,
    points: int = 50,
) -> Attribution:
    """Share an answer out over the steps of a recurrent module's input, by one of seven methods.

    push, beta and gamma say which step of the module's top layer wrote what the answer reads; cd, lrp, ig and occlusion
    which step of the module's input it stems from. The model is run in eval mode, and is left as it was.

    Args:
        model: holds torch.nn or gatewise recurrent layers, at any depth.
        inputs: of the model: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        target: the index k of an answer y = output[:, k], or a function from what the model returns to one number a
            row, [B], as in `readout`.
        method: "push" (LSTM, GRU), "beta" or "gamma" (LSTM), "cd" (LSTM of one layer), "lrp", "ig" or "occlusion"
            (every cell); each of any depth and direction but cd. Variants of the cell and resets: push, ig, occlusion.
        at: path of the recurrent module; None: the last one in the model's order.
        baseline: of ig and occlusion, the input of the module that stands for nothing: [I], [T, B, I], or what
            broadcasts to it; None: zeros.
        points: of ig, nodes of the quadrature, 1 or more.

    Returns:
        The `Attribution`.

    Raises:
        UsageError: a method that is not one of these, or not defined for the cell, its variant or its depth; a baseline
            of another shape; fewer points than 1; what `readout` refuses.

    Source:
        See each method's file; docs/memory.md has the table.
    """
    if method not in METHODS:
        raise UsageError(f"method is {method!r}; it can be {', '.join(map(repr, METHODS))}")
    share_out, sums_to = METHODS[method]
    with in_eval(model), torch.inference_mode(False), torch.no_grad():
        case = case_of(model, inputs, target, at=at, baseline=baseline, points=points)
        found = share_out(case)
    value = case.readout.value
    return Attribution(
        method=method,
        scores=found.scores,
        by_variable=found.by_variable,
        value=value,
        rest=found.rest,
        residual=value - found.rest - found.scores.sum(0),
        sums_to=sums_to,
        path=case.readout.path,
        left_out=[] if method in ("ig", "occlusion") else case.readout.left_out,
    )
