"""Options of the caption recipe."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.errors import UsageError
from gatewise.training.config import check_options, option
from gatewise.training.options import AVERAGES, SCHEDULES

TASK = "caption"
CELLS = ("rnn", "gru", "lstm")
SHRINKS = 16
"""Pixels of a side of a picture for one cell of the small network's grid."""
_OFF = "0 = off"


@dataclass(frozen=True)
class CaptionConfig:
    """Options of the caption recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `picture` how a picture becomes a grid of numbers, `text` how a sentence does,
    `model` what is built, `training` how it is trained, `search` how the best sentence is looked for.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    pictures: str = option("", "folder of pictures, or of folders of frames", "data")
    captions: str = option("", "table with a row a sentence", "data")
    validation_pictures: str = option("", "folder of the validation pictures", "data")
    validation_captions: str = option("", "table of validation sentences of your own", "data")
    image: str = option("", "column with the picture's name", "data")
    caption: str = option("", "column with the sentence", "data")
    video: bool = option(False, "clips, not pictures; as the data are", "data")

    picture_size: int = option(
        96,
        f"pixels of a side, to which pictures are scaled; a multiple of {SHRINKS}",
        "picture",
        low=32,
        high=1024,
    )
    channels: int = option(
        128, "features of a cell of the small network's grid, a multiple of 32", "picture", low=32, high=4096
    )
    augment: float = option(
        0.1,
        f"largest shift, zoom and change of brightness in training, as a share; {_OFF}",
        "picture", low=0, high=0.5,
    )  # fmt: skip
    flip: bool = option(
        False, "mirror half of the pictures in training; not where sentences say left or right", "picture"
    )
    features: str = option(
        "",
        "torchvision/NAME or timm/NAME: the frozen features of that model; else a small network is trained",
        "picture",
    )
    feature_size: int = option(
        0, "features of a cell of that model; as it gives them", "picture", low=0, high=65_536
    )
    cache: str = option("", "folder for the features of each picture; else in the run", "picture")
    blind: bool = option(False, "sees nothing: the same decoder for comparison", "picture")
    frames: int = option(16, "most frames of a clip, evenly spread", "picture", low=1, high=1000)

    tokenizer: str = option("words", "how sentences are cut into tokens", "text", choices=("bpe", "words"))
    vocab_size: int = option(10_000, "most tokens of the vocabulary", "text", low=8, high=1_000_000)
    max_length: int = option(40, "most tokens of a sentence; a longer one is cut", "text", low=1, high=1000)

    cell: str = option("lstm", "rnn, gru, lstm, or a stack such as gru+lstm (bottom first)", "model")
    embedding_size: int = option(128, "numbers in an embedding", "model", low=1, high=8192)
    hidden_size: int = option(256, "units of a layer", "model", low=1, high=8192)
    decoder_layers: int = option(1, "layers of one cell in the decoder", "model", low=1, high=16)
    bidirectional: bool = option(False, "the reader of a clip also reads from the end", "model")
    attention: str = option(
        "luong",
        "luong: the decoder is one fused call; bahdanau: what was seen goes into the next step",
        "model",
        choices=("luong", "bahdanau"),
    )
    tied: bool = option(True, "the embedding is also the output's weights", "model")
    forget_bias: float = option(1.0, "first forget bias of LSTM layers", "model", low=-20, high=20)
    dropout: float = option(
        0.5, "of embeddings, of what is seen, and before the output", "model", low=0, high=1, below=True
    )

    epochs: int = option(30, "most passes over the training part", "training", low=1, high=100_000)
    batch_size: int = option(
        16, "pictures in a step, each with all its sentences", "training", low=1, high=65_536
    )
    accumulate: int = option(1, "batches in a step of the optimiser", "training", low=1, high=65_536)
    learning_rate: float = option(1e-3, "highest learning rate", "training", low=0, high=10, above=True)
    schedule: str = option("linear", "how the learning rate goes to 0", "training", choices=SCHEDULES)
    warmup: int = option(
        100, "steps of linear warm-up, at most a fifth of all", "training", low=0, high=10_000_000
    )
    weight_decay: float = option(0.01, "decoupled weight decay (AdamW)", "training", low=0, high=10)
    label_smoothing: float = option(
        0.0, "share of each target's probability given to all tokens", "training", low=0, high=1, below=True
    )
    doubly_stochastic: float = option(
        0.0,
        f"what it costs that cells are not looked at once each over a sentence (λ); {_OFF}",
        "training",
        low=0,
        high=100,
    )
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
        0.99, f"decay of the moving average of the weights; {_OFF}", "training", low=0, high=1, below=True
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
    validation: float = option(
        0.1, "share of the training pictures held out; 0 = none", "training", low=0, high=1, below=True
    )
    seed: int = option(0, "of split, first weights, order and dropout", "training", low=0, high=2**32 - 1)
    device: str = option("auto", "where to train", "training", choices=("auto", "cpu", "cuda"))
    threads: int = option(0, "CPU threads; 0 = torch's choice", "training", low=0, high=1024)
    workers: int = option(
        0, "processes that prepare batches; 0 = the training's own", "training", low=0, high=256
    )
    minutes: float = option(
        0.0, f"stop training before this time is over; {_OFF}", "training", low=0, high=1e6
    )

    beams: int = option(3, "sequences that the search follows; 1 = greedy", "search", low=1, high=1000)
    length_penalty: float = option(
        1.0, "0 ranks by probability, 1 nearly by its mean over tokens", "search", low=0, high=10
    )
    coverage_penalty: float = option(
        0.0, f"what it costs to leave cells unseen; {_OFF}", "search", low=0, high=10
    )

    def __post_init__(self) -> None:
        check_options(self)
        if any(name not in CELLS for name in self.cells):
            raise UsageError(f"cell is {self.cell!r}; it must be rnn, gru, lstm, or these joined by +")
        if len(self.cells) > 1 and self.decoder_layers > 1:
            raise UsageError(
                f"decoder_layers is {self.decoder_layers}; the stack {self.cell!r} already names the layers"
            )
        for name, step in (("picture_size", SHRINKS), ("channels", 32)):
            if getattr(self, name) % step:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be a multiple of {step}")
        if self.features.partition("/")[0] not in ("", "torchvision", "timm") or self.features.endswith("/"):
            raise UsageError(f"features is {self.features!r}; it must be torchvision/NAME or timm/NAME")
        if self.validation_pictures and not self.validation_captions:
            raise UsageError("validation_pictures is given without validation_captions")

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that `cell` names, bottom first."""
        return tuple(self.cell.split("+"))

    @property
    def grid(self) -> int:
        """Cells of a side of the small network's grid."""
        return self.picture_size // SHRINKS
