"""The options that every recipe has, declared once, and what follows from an option's kind.

A recipe's config is a subclass: it adds options of its own, and gives an option another default with
`gatewise.training.config.default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from gatewise.errors import UsageError
from gatewise.training.config import check_options, option, rule
from gatewise.training.options import AVERAGES, FREE, OPTIMIZERS, SCHEDULES, LoopOptions

OFF = "0 = off"
CELLS = ("rnn", "gru", "lstm")
MOST_LAYERS = 16


@dataclass(frozen=True)
class RecipeConfig:
    """How a recipe trains.

    Raises:
        UsageError: an option with a wrong type or out of its range.
    """

    epochs: int = option(10, "most passes over the training part", "training", low=1, high=100_000)
    accumulate: int = option(1, "batches in a step of the optimiser", "training", low=1, high=65_536)
    optimizer: str = option("adamw", "how weights are changed", "training", choices=OPTIMIZERS)
    learning_rate: float = option(2e-3, "highest learning rate", "training", low=0, high=1000, above=True)
    schedule: str = option("linear", "how the learning rate falls", "training", choices=SCHEDULES)
    warmup: int = option(
        200, "steps of linear warm-up, at most a fifth of all", "training", low=0, high=10_000_000
    )
    decay: float = option(
        0.8, "of the schedule decay: factor of the rate after an epoch", "training", low=0, high=1, above=True
    )
    decay_from: int = option(
        0, "of the schedule decay: epochs at the full rate", "training", low=0, high=100_000
    )
    weight_decay: float = option(
        0.0, "decay of the weights; adamw's is apart from the gradient", "training", low=0, high=10
    )
    average: str = option(
        "ema",
        "the weights that are validated and kept: the last ones, their moving average (ema), or the mean of each "
        "epoch's (swa) or each step's (asgd; nt-asgd: once validation stops improving)",
        "training",
        choices=AVERAGES,
    )
    average_from: float = option(
        0.75, "share of the steps before swa or asgd begin", "training", low=0, high=1, below=True
    )
    patience_of_average: int = option(
        5, "validations without a better one before nt-asgd begins", "training", low=0, high=100_000
    )
    ema: float = option(
        0.995, f"decay of the moving average of the weights; {OFF}", "training", low=0, high=1, below=True
    )
    clip: float = option(1.0, f"largest norm of the gradient; {OFF}", "training", low=0, high=1e6)
    patience: int = option(
        0, f"validations without a better one before stopping; {OFF}", "training", low=0, high=100_000
    )
    validate_every: int = option(
        0, "steps between validations; 0 = each epoch", "training", low=0, high=1_000_000_000
    )
    save_every: int = option(
        0, "steps between checkpoints; each epoch has one anyway", "training", low=0, high=1_000_000_000
    )
    keep_checkpoints: int = option(
        0, "checkpoints that stay in the run; 0 = none", "training", low=0, high=100_000
    )
    validation: float = option(
        0.1, "share of the training data held out; 0 = none", "training", low=0, high=1, below=True
    )
    seed: int = option(0, "of split, first weights, order and dropout", "training", low=0, high=2**32 - 1)
    precision: str = option(
        "float32", "arithmetic of the layers in training", "training", choices=("float32", "bf16")
    )
    device: str = option("auto", "where to train", "training", choices=("auto", "cpu", "cuda"))
    threads: int = option(0, "CPU threads; 0 = torch's choice", "training", low=0, high=1024)
    minutes: float = option(
        0.0, f"stop training before this time is over; {OFF}", "training", low=0, high=1e6
    )

    def __post_init__(self) -> None:
        check_options(self)


C = TypeVar("C", bound=RecipeConfig)


@dataclass(frozen=True)
class ExamplesConfig(RecipeConfig):
    """Of recipes that learn from examples, some of which are a batch, with layers of the cells that `cell` names.

    Raises:
        UsageError: also an unknown cell, or too many of them.
    """

    cell: str = option("lstm", "rnn, gru, lstm, or a stack such as gru+lstm (bottom first)", "model")
    embedding_size: int = option(128, "numbers in an embedding", "model", low=1, high=8192)
    hidden_size: int = option(128, "units of a layer and direction", "model", low=1, high=8192)
    bidirectional: bool = option(False, "also read from the end", "model")
    forget_bias: float = option(1.0, "first forget bias of LSTM layers", "model", low=-20, high=20)
    dropout: float = option(0.5, "dropout before the output", "model", low=0, high=1, below=True)

    batch_size: int = option(64, "examples in a step", "training", low=1, high=65_536)
    workers: int = option(
        0, "processes that prepare batches; 0 = the training's own", "training", low=0, high=256
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(name not in CELLS for name in self.cells):
            raise UsageError(f"cell is {self.cell!r}; it must be rnn, gru, lstm, or these joined by +")
        if len(self.cells) > MOST_LAYERS:
            raise UsageError(f"cell names {len(self.cells):,} layers; it must be {MOST_LAYERS} at most")

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that `cell` names, bottom first."""
        return tuple(self.cell.split("+"))

    def refuse_layers_of_a_stack(self, *names: str) -> None:
        """Refuse numbers of layers, options `names`, where `cell` is a stack."""
        for name in names if len(self.cells) > 1 else ():
            if getattr(self, name) > 1:
                raise UsageError(
                    f"{name} is {getattr(self, name)}; the stack {self.cell!r} already names its layers"
                )


def loop_options(config: RecipeConfig, metric: str) -> LoopOptions:
    """What the training loop takes of a recipe's options; `metric` as there."""
    known = {item.name for item in fields(LoopOptions)}
    shared = {item.name: getattr(config, item.name) for item in fields(config) if item.name in known}
    return LoopOptions(**shared, metric=metric)


def with_full_paths(config: C, **read: Any) -> C:
    """The options with absolute paths, so that they name the same files anywhere; `read` are set besides."""
    return replace(config, **{name: _full(getattr(config, name)) for name in _paths(config)} | read)


def what_lasts(config: RecipeConfig, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What a training may not change when it is resumed: its options, and the SHA-256 of what it read, by names.

    Left out is where data lie, how long and with what the machine computes, and how answers are searched.
    """
    groups = {item.name: rule(item).group for item in fields(config)}
    free = FREE | _paths(config) | {name for name, group in groups.items() if group == "search"}
    options = {name: value for name, value in asdict(config).items() if name not in free}
    return options | {f"the SHA-256 of the {name}": value for name, value in hashes.items()}


def _paths(config: RecipeConfig) -> set[str]:
    return {item.name for item in fields(config) if rule(item).path}


def _full(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_full(one) for one in value)
    return str(Path(value).absolute()) if value else ""
