"""Every option of the classify recipe, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.errors import UsageError
from gatewise.training.config import default, option
from gatewise.training.recipe_config import MOST_LAYERS, OFF, ExamplesConfig

TASK = "classify"


@dataclass(frozen=True)
class ClassifyConfig(ExamplesConfig):
    """Options of the classify recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `text` how a text becomes numbers, `model` what is built,
    `training` how it is trained. `gatewise.training.config.rule` gives range and help of each.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    data: str = option("", "file or folder with the training data", "data", path=True)
    validation_data: str = option("", "file or folder with a validation part of your own", "data", path=True)
    text: str = option("", "column with the text", "data")
    label: str = option("", "column with the label", "data")
    id: str = option("", "column with the ID", "data")
    time: str = option("", "column with the time (numeric sequences)", "data")
    features: tuple[str, ...] = option((), "columns with the features (numeric sequences)", "data")

    tokenizer: str = option("words", "how texts are cut into tokens", "text", choices=("words", "bpe"))
    vocab_size: int = option(30_000, "most tokens that get an embedding", "text", low=8, high=1_000_000)
    bigrams: int = option(
        0, f"frequent word pairs that get an embedding; {OFF}", "text", low=0, high=5_000_000
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
    vectors: str = option("", "GloVe or fastText text file for the first embeddings", "text", path=True)

    language_model: str = option(
        "",
        "run of a language model of bpe, whose vocabulary, embedding and layers are the start",
        "model",
        path=True,
    )
    num_layers: int = option(1, "layers of one cell", "model", low=1, high=MOST_LAYERS)
    pooling: str = option(
        "attention",
        "what the answer reads of the hidden states",
        "model",
        choices=("last", "mean", "max", "attention"),
    )
    chrono: int = option(
        0,
        f"first memories of up to this many steps in LSTM and GRU layers, instead of forget_bias; {OFF}",
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

    epochs: int = default(ExamplesConfig, "epochs", 6)
    batch_size: int = default(ExamplesConfig, "batch_size", 64, help="sequences in a step")
    class_weights: str = option(
        "none", "weights of the labels in the loss", "training", choices=("none", "balanced")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_layers_of_a_stack("num_layers")
        if self.chrono in (1, 2):
            raise UsageError(f"chrono is {self.chrono}; it must be 0 (off), or at least 3 steps")
        if self.language_model and self.vectors:
            raise UsageError(
                "language_model and vectors are both given; the first embeddings are of one of them"
            )
        if self.language_model and self.bidirectional:
            raise UsageError(
                "language_model is given with bidirectional, and a language model reads in one direction"
            )
