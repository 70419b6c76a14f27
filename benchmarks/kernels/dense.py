"""LSTM layers on dense batches in float32, beside nn.LSTM: training and answers, small and large shapes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

import gatewise as gw
from benchmarks.kernels.figures import Figure
from benchmarks.kernels.peak import share
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.rows import Row, Sample, judged, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import chosen, compare, inference, inputs, training

Mode = Callable[[], AbstractContextManager[object]]


def sample(shape: Shape, seconds: float, mode: Mode | None = None) -> Sample:
    """nn.LSTM and ours at a shape: answers under `mode`, or training steps without one."""
    x, grad = inputs(shape)
    peer = nn.LSTM(shape.I, shape.H)
    ours = gw.from_torch(peer)
    if mode is None:
        times, flops = compare(training(peer, x, grad), training(ours, x, grad), seconds), 3 * shape.flops
    else:
        times = compare(inference(peer, x, mode), inference(ours, x, mode), seconds)
        flops = shape.flops
    theirs, own = (share(flops, float(s)) for s in np.median(times, axis=0))
    shares = {"share_of_peak": {"peer": theirs, "ours": own}}
    return Sample(str(shape), times, {"backend": chosen(ours, x), **shares})


def lowest(rows: list[Row]) -> Row:
    """The shape whose interval has the lowest lower end."""
    samples = [(one["low"], row.name, one) for row in rows for one in row.samples]
    if not samples:
        return Row("dense-each-shape", None, "no shape was measured", met=False)
    low, name, worst = min(samples, key=lambda s: s[0])
    figure = Figure(worst["value"], low, worst["high"])
    return judged("dense-each-shape", figure, notes={"row": name, "shape": worst["name"]})


def measure(settings: Settings) -> Iterator[Row]:
    parts: dict[str, tuple[list[Shape], Mode | None]] = {
        "dense-training-small": (shapes("small"), None),
        "dense-training-large": (shapes("large"), None),
        "dense-inference-small": (shapes("small"), torch.no_grad),
        "dense-inference-large": (shapes("large"), torch.no_grad),
    }
    measured: list[Row] = []
    for name, (chosen_shapes, mode) in parts.items():
        measured.append(
            row(name, lambda s=chosen_shapes, m=mode: [sample(x, settings.seconds, m) for x in s])
        )
        yield measured[-1]
    yield lowest(measured)
    both = shapes("small") + shapes("large")
    yield row(
        "dense-inference-mode",
        lambda: [sample(x, settings.seconds / 2, torch.inference_mode) for x in both],
    )
