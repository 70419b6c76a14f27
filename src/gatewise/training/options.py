"""What a training is told, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoopOptions:
    """How to train; the recipes' configs have the same names, ranges and defaults.

    Args:
        betas: AdamW's. 0.98 for the squares follows gradients that change fast, as embeddings' do.
        ema: decay of the moving average of the weights; updated every fourth step once there are 1,000 to go.
        metric: the entry of an evaluation that is maximised; ties go to the lower "loss".
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


@dataclass
class Outcome:
    """What a training came to; the model itself holds the best weights.

    Args:
        history: a row an epoch: epoch, step, loss, learning_rate, seconds, and validation_… figures.
        best_epoch: the epoch whose weights were kept; 0 when they are those of the last step.
        stopped: "finished", "patience", "minutes" or "interrupted".
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    stopped: str = "finished"
