"""Options of the translate recipe."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.decoding.config import WriterConfig
from gatewise.errors import UsageError
from gatewise.training.config import default, option
from gatewise.training.recipe_config import OFF

TASK = "translate"


@dataclass(frozen=True)
class TranslateConfig(WriterConfig):
    """Options of the translate recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `text` how a text becomes numbers, `model` what is built, `training` how it is
    trained, `search` how the best target is looked for.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    data: str = option("", "table of pairs, or the file with the sources", "data", path=True)
    target_data: str = option("", "file with the target of each line of the sources", "data", path=True)
    validation_data: str = option("", "validation pairs or sources of your own", "data", path=True)
    validation_target_data: str = option(
        "", "file with the targets of the validation sources", "data", path=True
    )
    source: str = option("", "column with the source", "data")
    target: str = option("", "column with the target", "data")

    shared: bool = option(True, "one vocabulary and one embedding for both sides", "text")
    max_length: int = option(
        100, "most tokens of a side in training, and of a source ever", "text", low=1, high=10_000
    )

    embedding_size: int = default(WriterConfig, "embedding_size", 256)
    hidden_size: int = default(WriterConfig, "hidden_size", 384)
    encoder_layers: int = option(1, "layers of one cell in the encoder", "model", low=1, high=16)
    bidirectional: bool = default(
        WriterConfig, "bidirectional", True, help="the encoder also reads from the end"
    )
    dropout: float = default(
        WriterConfig, "dropout", 0.3, help="of embeddings, between layers and before the output"
    )
    word_dropout: float = option(
        0.0, "share of source tokens read as unknown in training", "model", low=0, high=1, below=True
    )

    epochs: int = default(WriterConfig, "epochs", 20)
    batch_size: int = default(WriterConfig, "batch_size", 64, help="pairs in a step")
    warmup: int = default(WriterConfig, "warmup", 400)
    ema: float = default(WriterConfig, "ema", 0.998)
    validation: float = default(WriterConfig, "validation", 0.05)
    own_tokens: float = option(
        0.0,
        f"share of the decoder's inputs at the end of training that are its own guesses; rises from 0; {OFF}",
        "training", low=0, high=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_layers_of_a_stack("encoder_layers")
        if self.validation_target_data and not self.validation_data:
            raise UsageError("validation_target_data is given without validation_data")
