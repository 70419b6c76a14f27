"""Options of the caption recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatewise.decoding.config import WriterConfig
from gatewise.errors import UsageError
from gatewise.training.config import default, option
from gatewise.training.recipe_config import OFF

TASK = "caption"
SHRINKS = 16
"""Pixels of a side of a picture for one cell of the small network's grid."""
# Nothing that timm would take for a place to load from.
_FEATURES = re.compile(r"(torchvision|timm)/[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class CaptionConfig(WriterConfig):
    """Options of the caption recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `picture` how a picture becomes a grid of numbers, `text` how a sentence does,
    `model` what is built, `training` how it is trained, `search` how the best sentence is looked for.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    pictures: str = option("", "folder of pictures, or of folders of frames", "data", path=True)
    captions: str = option("", "table with a row a sentence", "data", path=True)
    validation_pictures: str = option("", "folder of the validation pictures", "data", path=True)
    validation_captions: str = option("", "table of validation sentences of your own", "data", path=True)
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
        f"largest shift, zoom and change of brightness in training, as a share; {OFF}",
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
    cache: str = option(
        "",
        "where a training keeps the features of each picture; else in the run",
        "picture",
        path=True,
    )
    blind: bool = option(False, "sees nothing: the same decoder for comparison", "picture")
    frames: int = option(16, "most frames of a clip, evenly spread", "picture", low=1, high=1000)

    tokenizer: str = default(WriterConfig, "tokenizer", "words")
    vocab_size: int = default(WriterConfig, "vocab_size", 10_000)
    max_length: int = option(40, "most tokens of a sentence; a longer one is cut", "text", low=1, high=1000)

    hidden_size: int = default(WriterConfig, "hidden_size", 256)
    bidirectional: bool = default(
        WriterConfig, "bidirectional", False, help="the reader of a clip also reads from the end"
    )
    dropout: float = default(
        WriterConfig, "dropout", 0.5, help="of embeddings, of what is seen, and before the output"
    )

    epochs: int = default(WriterConfig, "epochs", 30)
    batch_size: int = default(
        WriterConfig, "batch_size", 16, help="pictures in a step, each with all its sentences"
    )
    learning_rate: float = default(WriterConfig, "learning_rate", 1e-3)
    warmup: int = default(WriterConfig, "warmup", 100)
    weight_decay: float = default(WriterConfig, "weight_decay", 0.01)
    ema: float = default(WriterConfig, "ema", 0.99)
    label_smoothing: float = default(WriterConfig, "label_smoothing", 0.0)
    doubly_stochastic: float = option(
        0.0,
        f"what it costs that cells are not looked at once each over a sentence (λ); {OFF}",
        "training",
        low=0,
        high=100,
    )

    beams: int = default(WriterConfig, "beams", 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, step in (("picture_size", SHRINKS), ("channels", 32)):
            if getattr(self, name) % step:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be a multiple of {step}")
        if self.features and not _FEATURES.fullmatch(self.features):
            raise UsageError(f"features is {self.features!r}; it must be torchvision/NAME or timm/NAME")
        if self.validation_pictures and not self.validation_captions:
            raise UsageError("validation_pictures is given without validation_captions")

    @property
    def grid(self) -> int:
        """Cells of a side of the small network's grid."""
        return self.picture_size // SHRINKS
