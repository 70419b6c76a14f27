"""Every option of the generate recipe, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.errors import UsageError
from gatewise.training.config import default, option
from gatewise.training.recipe_config import CELLS, MOST_LAYERS, OFF, RecipeConfig

TASK = "generate"
TOKENS = ("characters", "bytes", "bpe", "words")


def _share(default: float, help: str, group: str = "model") -> float:
    return option(default, help, group, low=0, high=1, below=True)


@dataclass(frozen=True)
class GenerateConfig(RecipeConfig):
    """Options of the generate recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `text` how it becomes tokens, `model` what is built, `training` how it is
    trained. `gatewise.training.config.rule` gives range and help of each.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    data: tuple[str, ...] = option(
        (), "files or folders with the text; none = Python's standard library", "data", path=True
    )
    validation_data: str = option("", "file or folder with a validation part of your own", "data", path=True)
    test_data: str = option("", "file or folder with a test part of your own", "data", path=True)
    text: str = option("", "column of tables (CSV, TSV, JSON lines), each of whose rows is a text", "data")
    validation: float = default(
        RecipeConfig,
        "validation",
        0.1,
        help="share of the text held out for validation; 0 = none",
        group="data",
    )
    test: float = _share(0.0, "share of the text held out as a test part; 0 = none", "data")

    tokens: str = option("characters", "what the text is a sequence of", "text", choices=TOKENS)
    vocab_size: int = option(
        10_000, "most tokens of words or bpe; rarer words are unknown", "text", low=8, high=1_000_000
    )
    min_count: int = option(
        1, "words (or pairs) that occur less often are left out", "text", low=1, high=1_000_000
    )

    cell: str = option("lstm", "recurrent cell", "model", choices=CELLS)
    embedding_size: int = option(128, "numbers in an embedding", "model", low=1, high=8192)
    hidden_size: int = option(512, "units of a layer", "model", low=1, high=8192)
    num_layers: int = option(2, "layers", "model", low=1, high=MOST_LAYERS)
    tie: bool = option(
        False,
        "one matrix for the embeddings and the output; the last layer then has embedding_size units",
        "model",
    )
    forget_bias: float = option(1.0, "first forget bias of LSTM layers", "model", low=-20, high=20)
    input_dropout: float = _share(0.0, "dropout of the embeddings")
    hidden_dropout: float = _share(0.0, "dropout between layers")
    output_dropout: float = _share(0.0, "dropout before the output")
    locked: bool = option(
        False, "these three dropouts draw one mask for all steps (variational), not one for each", "model"
    )
    embedding_dropout: float = _share(0.0, "share of the vocabulary whose embeddings are left out of a step")
    weight_drop: float = _share(0.0, "dropout on the recurrent weights")
    ar: float = option(
        0.0, f"activation regularisation of the last layer (α); {OFF}", "model", low=0, high=1e6
    )
    tar: float = option(0.0, f"temporal activation regularisation (β); {OFF}", "model", low=0, high=1e6)

    streams: int = option(64, "places of the text that are read side by side", "training", low=1, high=65_536)
    steps: int = option(
        128, "tokens of each stream in a step, over which gradients go back", "training", low=1, high=100_000
    )
    random_steps: bool = option(
        False, "draw that number anew for every step of the training (Merity et al. 2018)", "training"
    )
    accumulate: int = default(RecipeConfig, "accumulate", 1, help="windows in a step of the optimiser")
    schedule: str = default(RecipeConfig, "schedule", "cosine")
    decay_from: int = default(RecipeConfig, "decay_from", 6)
    average: str = default(RecipeConfig, "average", "none")
    ema: float = default(RecipeConfig, "ema", 0.999)
    seed: int = default(RecipeConfig, "seed", 0, help="of first weights and dropout")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation + self.test >= 1:
            raise UsageError(
                f"validation is {self.validation:g} and test is {self.test:g}; together they must be less than 1"
            )
        if self.cell != "lstm" and self.forget_bias not in (0.0, 1.0):
            raise UsageError(
                f"forget_bias is {self.forget_bias:g}; only an LSTM has one, and cell is {self.cell!r}"
            )
        if self.tokens == "bpe" and self.vocab_size < 258:
            raise UsageError(f"vocab_size is {self.vocab_size}; bpe needs 258 at least")

    @property
    def sizes(self) -> list[int]:
        """Units of each layer, bottom first."""
        last = self.embedding_size if self.tie else self.hidden_size
        return [self.hidden_size] * (self.num_layers - 1) + [last]
