"""Training with each variant alone, as a multiple of our plain LSTM's time; checked against the naive backend."""

from collections.abc import Iterator
from typing import Any

import torch

import gatewise as gw
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.rows import Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Results, Work, agree, chosen, inputs, training
from benchmarks.measure import in_turns_for

VARIANTS: dict[str, dict[str, Any]] = {
    "layer-norm": {"layer_norm": True},
    "peephole": {"peephole": True},
    "coupled": {"coupled": True},
    "zoneout-c": {"zoneout": (0.1, 0.0)},
    "zoneout-h": {"zoneout": (0.0, 0.1)},
    "dropout-h": {"recurrent_dropout": 0.25, "recurrent_dropout_on": "h"},
    "dropout-g": {"recurrent_dropout": 0.25, "recurrent_dropout_on": "g"},
    "dropout-weights": {"recurrent_dropout": 0.25, "recurrent_dropout_on": "weights"},
}


def _seeded(work: Work, backend: str | None = None) -> Work:
    """The same with the same random masks each time, for the check; by a backend."""

    def run() -> Results:
        torch.manual_seed(1)
        if backend is None:
            return work.run()
        with gw.backend(backend):
            return work.run()

    return Work(run)


def _contracting(layer: gw.LSTM) -> gw.LSTM:
    """Small gains for layer norm. With gains of 1 such a layer is chaotic: in a hundred steps float32 leaves float64,
    whatever computes it. The gains do not change the time.
    """
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_norm"):
                parameter.fill_(0.1)
    return layer


def sample(shape: Shape, variant: dict[str, Any], seconds: float) -> Sample:
    """The layer with the variant, and without."""
    x, grad = inputs(shape)
    plain, layer = gw.LSTM(shape.I, shape.H), _contracting(gw.LSTM(shape.I, shape.H, **variant))
    varied = training(layer, x, grad)
    agree(_seeded(varied, "naive"), _seeded(varied))
    times = in_turns_for(seconds, varied.run, training(plain, x, grad).run)
    return Sample(str(shape), times, {"backend": chosen(layer, x), "plain_backend": chosen(plain, x)})


def measure(settings: Settings) -> Iterator[Row]:
    for name, variant in VARIANTS.items():
        yield row(
            f"variant-{name}",
            lambda v=variant: [sample(shape, v, settings.seconds) for shape in shapes("ragged")],
        )
