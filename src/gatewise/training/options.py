"""What a training is told, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEDULES = ("linear", "cosine", "constant", "decay")
AVERAGES = ("none", "ema", "swa", "asgd", "nt-asgd")
OPTIMIZERS = ("adamw", "adam", "sgd")


@dataclass(frozen=True)
class LoopOptions:
    """How to train; the recipes' configs have the same names, ranges and defaults.

    Args:
        accumulate: micro-batches in a step of the optimiser, at least 1; the last step of an epoch takes what is left.
        optimizer: adamw, adam or sgd; see `gatewise.training.optimizer`.
        schedule: linear, cosine, constant or decay; see `gatewise.training.schedule`.
        decay, decay_from: of the schedule decay: the factor after each epoch beyond the first `decay_from`.
        betas: Adam's and AdamW's. 0.98 for the squares follows gradients that change fast, as embeddings' do.
        average: what the weights that are validated and kept are: none (the last ones), ema, or the equal mean of
            each epoch's last weights (swa) or of each step's (asgd) once the share `average_from` of all steps is done,
            or of each step's once validation has stopped improving (nt-asgd).
        patience_of_average: for nt-asgd: validations without a better one before the mean begins.
        ema: decay of the moving average of the weights, 0 = none; updated every fourth step once there are 1,000 to go.
        clip: largest norm of a step's gradient, 0 = any.
        patience: validations without a better one before the training stops, 0 = never.
        minutes: the training stops before this time is over, 0 = never.
        validate_every: steps between two validations, 0 = one after each epoch.
        save_every: steps between two checkpoints, besides those at the start and after each epoch.
        keep_checkpoints: how many of the newest checkpoints stay; one always does while the training runs.
        workers: processes that prepare batches, 0 = this one.
        metric: the entry of an evaluation that is maximised; ties go to the lower "loss". "loss" itself is minimised.
    """

    epochs: int
    learning_rate: float
    warmup: int = 200
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    ema: float = 0.0
    clip: float = 0.0
    patience: int = 0
    minutes: float = 0.0
    metric: str = "accuracy"
    accumulate: int = 1
    schedule: str = "linear"
    average: str = "ema"
    average_from: float = 0.75
    validate_every: int = 0
    save_every: int = 0
    keep_checkpoints: int = 0
    workers: int = 0
    optimizer: str = "adamw"
    decay: float = 0.8
    decay_from: int = 0
    patience_of_average: int = 5


FREE = frozenset({"minutes", "save_every", "keep_checkpoints", "workers", "threads"})
"""Options that may differ when a training is resumed: they say how long and how, not what is computed."""


@dataclass
class Outcome:
    """What a training came to; the model itself holds the best weights.

    Args:
        history: a row a validation (an epoch, unless `validate_every` says otherwise): epoch, step, loss (the mean
            since the last row), learning_rate, seconds, and validation_… figures.
        best_epoch: the epoch whose weights were kept; 0 when they are those of the last step.
        epochs: whole epochs that were trained.
        seconds: of all processes that took part one after the other, when it was resumed.
        stopped: "finished", "patience", "minutes", "callback" or "interrupted".
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    stopped: str = "finished"
