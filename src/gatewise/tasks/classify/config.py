"""Every option of the classify recipe, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.errors import UsageError
from gatewise.training.config import check_options, option
from gatewise.training.options import AVERAGES, SCHEDULES

TASK = "classify"
CELLS = ("rnn", "gru", "lstm")
MOST_LAYERS = 16
_OFF = "0 = off"


@dataclass(frozen=True)
class ClassifyConfig:
    """Options of the classify recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `text` how a text becomes numbers, `model` what is built,
    `training` how it is trained. `gatewise.training.config.rule` gives range and help of each.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    data: str = option("", "file or folder with the training data", "data")
    validation_data: str = option("", "file or folder with a validation part of your own", "data")
    text: str = option("", "column with the text", "data")
    label: str = option("", "column with the label", "data")
    id: str = option("", "column with the ID", "data")
    time: str = option("", "column with the time (numeric sequences)", "data")
    features: tuple[str, ...] = option((), "columns with the features (numeric sequences)", "data")

    tokenizer: str = option("words", "how texts are cut into tokens", "text", choices=("words", "bpe"))
    vocab_size: int = option(30_000, "most tokens that get an embedding", "text", low=8, high=1_000_000)
    bigrams: int = option(
        0, f"frequent word pairs that get an embedding; {_OFF}", "text", low=0, high=5_000_000
    )
    max_length: int = option(
        400, "most tokens of a text (steps of a series) that are read", "text", low=1, high=100_000
    )
    truncate: str = option(
        "middle",
        "the part that stays of a longer text (middle: a third from the head, the rest from the tail)",
        "text",
        choices=("head", "tail", "middle"),
    )
    vectors: str = option("", "GloVe or fastText text file for the first embeddings", "text")

    language_model: str = option(
        "", "run of a language model of bpe, whose vocabulary, embedding and layers are the start", "model"
    )
    cell: str = option("lstm", "rnn, gru, lstm, or a stack such as gru+lstm (bottom first)", "model")
    embedding_size: int = option(128, "numbers in an embedding", "model", low=1, high=8192)
    hidden_size: int = option(128, "units of a layer and direction", "model", low=1, high=8192)
    num_layers: int = option(1, "layers of one cell", "model", low=1, high=MOST_LAYERS)
    bidirectional: bool = option(False, "also read from the end", "model")
    pooling: str = option(
        "attention",
        "what the answer reads of the hidden states",
        "model",
        choices=("last", "mean", "max", "attention"),
    )
    forget_bias: float = option(1.0, "first forget bias of LSTM layers", "model", low=-20, high=20)
    chrono: int = option(
        0,
        f"first memories of up to this many steps in LSTM and GRU layers, instead of forget_bias; {_OFF}",
        "model",
        low=0,
        high=1_000_000,
    )
    word_dropout: float = option(0.1, "share of words read as unknown", "model", low=0, high=1, below=True)
    bigram_dropout: float = option(0.0, "share of word pairs left out", "model", low=0, high=1, below=True)
    embedding_dropout: float = option(
        0.3, "dropout of the input, one mask over time", "model", low=0, high=1, below=True
    )
    layer_dropout: float = option(0.0, "dropout between recurrent layers", "model", low=0, high=1, below=True)
    dropout: float = option(0.5, "dropout before the output", "model", low=0, high=1, below=True)

    epochs: int = option(6, "most passes over the training part", "training", low=1, high=100_000)
    batch_size: int = option(64, "sequences in a step", "training", low=1, high=65_536)
    accumulate: int = option(1, "batches in a step of the optimiser", "training", low=1, high=65_536)
    learning_rate: float = option(2e-3, "highest learning rate", "training", low=0, high=10, above=True)
    schedule: str = option("linear", "how the learning rate goes to 0", "training", choices=SCHEDULES)
    warmup: int = option(
        200, "steps of linear warm-up, at most a fifth of all", "training", low=0, high=10_000_000
    )
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)", "training", low=0, high=10)
    average: str = option(
        "ema",
        "the weights that are validated and kept: the last ones, their moving average (ema), or the mean of each "
        "epoch's (swa) or each step's (asgd)",
        "training",
        choices=AVERAGES,
    )
    average_from: float = option(
        0.75, "share of the steps before swa or asgd begin", "training", low=0, high=1, below=True
    )
    ema: float = option(
        0.995, f"decay of the moving average of the weights; {_OFF}", "training", low=0, high=1, below=True
    )
    clip: float = option(1.0, f"largest norm of the gradient; {_OFF}", "training", low=0, high=1e6)
    patience: int = option(
        0, f"validations without a better one before stopping; {_OFF}", "training", low=0, high=100_000
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
    class_weights: str = option(
        "none", "weights of the labels in the loss", "training", choices=("none", "balanced")
    )
    validation: float = option(
        0.1, "share of the training data held out; 0 = none", "training", low=0, high=1, below=True
    )
    seed: int = option(0, "of split, first weights, order and dropout", "training", low=0, high=2**32 - 1)
    precision: str = option(
        "float32", "arithmetic of the recurrent part in training", "training", choices=("float32", "bf16")
    )
    device: str = option("auto", "where to train", "training", choices=("auto", "cpu", "cuda"))
    threads: int = option(0, "CPU threads; 0 = torch's choice", "training", low=0, high=1024)
    workers: int = option(
        0, "processes that prepare batches; 0 = the training's own", "training", low=0, high=256
    )
    minutes: float = option(
        0.0, f"stop training before this time is over; {_OFF}", "training", low=0, high=1e6
    )

    def __post_init__(self) -> None:
        check_options(self)
        unknown = [name for name in self.cells if name not in CELLS]
        if unknown:
            raise UsageError(f"cell is {self.cell!r}; it must be rnn, gru, lstm, or these joined by +")
        if len(self.cells) > MOST_LAYERS:
            raise UsageError(f"cell names {len(self.cells):,} layers; it must be {MOST_LAYERS} at most")
        if self.chrono in (1, 2):
            raise UsageError(f"chrono is {self.chrono}; it must be 0 (off), or at least 3 steps")
        if len(self.cells) > 1 and self.num_layers > 1:
            raise UsageError(
                f"num_layers is {self.num_layers}; the stack {self.cell!r} already names its layers"
            )

        if self.language_model and self.vectors:
            raise UsageError(
                "language_model and vectors are both given; the first embeddings are of one of them"
            )
        if self.language_model and self.bidirectional:
            raise UsageError(
                "language_model is given with bidirectional, and a language model reads in one direction"
            )

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that `cell` names, bottom first."""
        return tuple(self.cell.split("+"))
