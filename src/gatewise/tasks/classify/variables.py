"""The input of a numeric sequence as the user knows it, and the push of each step divided over its variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.memory import push_by_variable, push_ledger
from gatewise.reports.page import Variables
from gatewise.tasks.classify.encode import SeriesEncoder, as_steps
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.opened import Opened


@torch.no_grad()
def variables_of(fitted: FittedClassifier, x: Any, opened: Opened, v: Tensor) -> Variables | None:
    """The variables of a numeric sequence, with their pushes where one layer is all there is; None for a text.

    Only a layer that reads the values themselves divides its pushes over them, by gradient × input of the scaled
    values: a value at the training mean, which is 0 there, has none.

    Args:
        v: [D·H], the direction of the score.
    """
    if not isinstance(fitted.encoder, SeriesEncoder):
        return None
    values = as_steps(x, 1)
    names = fitted.encoder.features or [f"x{k}" for k in range(values.shape[1])]
    single = len({name.split(",")[0] for name in opened.layers}) == 1
    if not single or not opened.top[0].gates or not len(opened.array):
        return Variables(names, values, None, 0.0)
    weights = dict(fitted.network.recurrent.named_parameters())
    inputs = torch.from_numpy(opened.array).to(v.device)[:, None]  # [T, 1, F]
    push, whole = np.zeros(values.shape), np.zeros(len(values))
    for place, lt in enumerate(opened.top):
        a, own = opened.weights(place), opened.of_direction(place, v)
        w_ih = weights["weight_ih_l0" + ("_reverse" if lt.reverse else "")]
        divided = push_by_variable(lt, a, own, inputs, w_ih)
        push[opened.positions] += divided.push[:, 0].double().cpu().numpy()
        whole[opened.positions] += push_ledger(lt, a, own).push[:, 0].double().cpu().numpy()
    return Variables(names, values, push, float(np.abs(whole - push.sum(1)).max()))
