"""`python -m benchmarks.language_model`: a training step of a language model beside the usual script with nn.LSTM.

Both models have the same weights and see the same windows of random tokens, in turns; a step is loss, backward pass,
clipping and optimiser, with dropout and the state carried on. Before anything is timed, the losses and gradients of
both are compared without dropout.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measure import machine, paired
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.model import LanguageModel
from gatewise.training.carried import Carried, TokenStreams, Window
from gatewise.training.loop import Fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

CLIP, DROPOUT = 5.0, 0.5
RATES = {"sgd": 1.0, "adamw": 1e-3}
TOLERANCE = {"float32": 1e-4, "bf16": 4e-2}
"""Largest difference of two gradients, in norm, relative to the plain script's."""


@dataclass(frozen=True)
class Shape:
    """Vocabulary V, embedding and hidden size, layers, T steps of B streams."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    steps: int
    streams: int


SHAPES = {
    "ptb-medium": Shape(10_000, 650, 650, 2, 35, 20),
    "characters": Shape(66, 128, 512, 2, 128, 32),
}


class Plain(nn.Module):
    """The script that everybody writes: nn.Embedding, nn.LSTM, nn.Linear, nn.Dropout."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        self.lstm = nn.LSTM(shape.embedding, shape.hidden, shape.layers, dropout=dropout)
        self.output = nn.Linear(shape.hidden, shape.vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.output(self.dropout(h)), state


class PlainStep:
    """A step of the plain script."""

    def __init__(self, model: Plain, precision: str, optimizer: str) -> None:
        self.model, self.bf16, self.state = model, precision == "bf16", None
        kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
        self.optimizer = kind(model.parameters(), lr=RATES[optimizer])

    def loss(self, window: Window) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits, state = self.model(window.inputs, self.state)
            self.state = tuple(part.detach() for part in state)
            return cross_entropy(logits.flatten(0, 1), window.targets.flatten())

    def __call__(self, window: Window) -> None:
        self.optimizer.zero_grad()
        self.loss(window).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()


def ours(shape: Shape, precision: str, optimizer: str, dropout: float) -> Fit:
    """Our model in our loop."""
    config = GenerateConfig(
        embedding_size=shape.embedding, hidden_size=shape.hidden, num_layers=shape.layers, precision=precision,
        input_dropout=dropout, hidden_dropout=dropout, output_dropout=dropout,
    )  # fmt: skip
    model = LanguageModel(config, shape.vocabulary)

    def loss(network: nn.Module, window: Window, state: Any) -> tuple[Sum, Any]:
        (nll, penalty), state = network(window.inputs, state, window.targets)
        return Sum(nll + penalty, window.targets.numel()), state

    options = LoopOptions(
        epochs=1, learning_rate=RATES[optimizer], schedule="constant", warmup=0, average="none", clip=CLIP,
        optimizer=optimizer, betas=(0.9, 0.999),
    )  # fmt: skip
    return Fit(model.train(), lambda epoch: windows(shape), Carried(loss), options)


def windows(shape: Shape, count: int = 8) -> TokenStreams:
    made = torch.Generator().manual_seed(0)
    tokens = torch.randint(shape.vocabulary, ((shape.steps * count + 1) * shape.streams,), generator=made)
    return TokenStreams(tokens, shape.streams, shape.steps)


def copied(model: LanguageModel, plain: Plain) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Our weights in the plain model; the pairs that belong together."""
    pairs = [
        (model.embedding, plain.embedding.weight),
        (model.output_weight, plain.output.weight),
        (model.output_bias, plain.output.bias),
    ]
    for k, layer in enumerate(model.recurrent.layers):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            pairs.append((getattr(layer, f"{name}_l0"), getattr(plain.lstm, f"{name}_l{k}")))
    with torch.no_grad():
        for own, other in pairs:
            other.copy_(own)
    return pairs


def difference(shape: Shape, precision: str) -> float:
    """Largest relative difference of a gradient, without dropout, after a window that only carries its state on."""
    fit, plain = ours(shape, precision, "sgd", 0.0), Plain(shape, 0.0)
    pairs = copied(fit.model, plain)  # type: ignore[arg-type]
    step = PlainStep(plain, precision, "sgd")
    first, second = windows(shape)[:2]
    fit.loss(fit.model, first)
    step.loss(first)
    found = fit.loss(fit.model, second)
    (found.total / found.count).backward()
    step.loss(second).backward()
    return max(float((own.grad - other.grad).norm() / other.grad.norm()) for own, other in pairs)


def measured(name: str, precision: str, optimizer: str, pairs: int) -> dict[str, Any]:
    """One row of the table; nothing is timed when the gradients differ."""
    shape = SHAPES[name]
    apart = difference(shape, precision)
    if not apart <= TOLERANCE[precision]:
        raise SystemExit(f"{name}, {precision}: gradients differ by {apart:.2g}; nothing was timed")
    fit, plain = ours(shape, precision, optimizer, DROPOUT), Plain(shape, DROPOUT)
    copied(fit.model, plain)  # type: ignore[arg-type]
    step, window = PlainStep(plain, precision, optimizer), windows(shape)[1]
    ratio = paired(lambda: step(window), lambda: fit.one_step([window]), pairs=pairs)
    print(f"{name:12} {precision:8} {optimizer:6} {ratio}   gradients {apart:.1e}", flush=True)
    return {"shape": name, "precision": precision, "optimizer": optimizer, "gradients": apart} | asdict(ratio)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language_model", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="only this one; may be repeated")
    parser.add_argument("--precision", choices=TOLERANCE, action="append", help="only this one")
    parser.add_argument("--optimizer", choices=RATES, default="sgd")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{'':29} nn.LSTM     gatewise   ratio [95 %]   threads {options.threads}")
    rows = [
        measured(shape, precision, options.optimizer, options.pairs)
        for shape in options.shape or SHAPES
        for precision in options.precision or TOLERANCE
    ]
    if options.out:
        options.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
