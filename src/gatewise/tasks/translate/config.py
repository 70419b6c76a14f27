"""Options of the translate recipe."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.errors import UsageError
from gatewise.training.config import check_options, option
from gatewise.training.options import AVERAGES, SCHEDULES

TASK = "translate"
CELLS = ("rnn", "gru", "lstm")
_OFF = "0 = off"


@dataclass(frozen=True)
class TranslateConfig:
    """Options of the translate recipe; `gatewise.training.config` reads and writes them as TOML.

    The groups: `data` says what to read, `text` how a text becomes numbers, `model` what is built, `training` how it is
    trained, `search` how the best target is looked for.

    Raises:
        UsageError: an option with a wrong type or out of its range, or two that exclude each other.
    """

    data: str = option("", "table of pairs, or the file with the sources", "data")
    target_data: str = option("", "file with the target of each line of the sources", "data")
    validation_data: str = option("", "validation pairs or sources of your own", "data")
    validation_target_data: str = option("", "file with the targets of the validation sources", "data")
    source: str = option("", "column with the source", "data")
    target: str = option("", "column with the target", "data")

    tokenizer: str = option("bpe", "how texts are cut into tokens", "text", choices=("bpe", "words"))
    vocab_size: int = option(8_000, "most tokens of a vocabulary", "text", low=8, high=1_000_000)
    shared: bool = option(True, "one vocabulary and one embedding for both sides", "text")
    max_length: int = option(
        100, "most tokens of a side in training, and of a source ever", "text", low=1, high=10_000
    )

    cell: str = option("lstm", "rnn, gru, lstm, or a stack such as gru+lstm (bottom first)", "model")
    embedding_size: int = option(256, "numbers in an embedding", "model", low=1, high=8192)
    hidden_size: int = option(384, "units of a layer and direction", "model", low=1, high=8192)
    encoder_layers: int = option(1, "layers of one cell in the encoder", "model", low=1, high=16)
    decoder_layers: int = option(1, "layers of one cell in the decoder", "model", low=1, high=16)
    bidirectional: bool = option(True, "the encoder also reads from the end", "model")
    attention: str = option(
        "luong",
        "luong: the decoder is one fused call; bahdanau: what was read goes into the next step",
        "model",
        choices=("luong", "bahdanau"),
    )
    tied: bool = option(True, "the target's embedding is also the output's weights", "model")
    forget_bias: float = option(1.0, "first forget bias of LSTM layers", "model", low=-20, high=20)
    dropout: float = option(
        0.3, "of embeddings, between layers and before the output", "model", low=0, high=1, below=True
    )
    word_dropout: float = option(
        0.0, "share of source tokens read as unknown in training", "model", low=0, high=1, below=True
    )

    epochs: int = option(20, "most passes over the training part", "training", low=1, high=100_000)
    batch_size: int = option(64, "pairs in a step", "training", low=1, high=65_536)
    accumulate: int = option(1, "batches in a step of the optimiser", "training", low=1, high=65_536)
    learning_rate: float = option(2e-3, "highest learning rate", "training", low=0, high=10, above=True)
    schedule: str = option("linear", "how the learning rate goes to 0", "training", choices=SCHEDULES)
    warmup: int = option(
        400, "steps of linear warm-up, at most a fifth of all", "training", low=0, high=10_000_000
    )
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)", "training", low=0, high=10)
    label_smoothing: float = option(
        0.1, "share of each target's probability given to all tokens", "training", low=0, high=1, below=True
    )
    own_tokens: float = option(
        0.0,
        f"share of the decoder's inputs at the end of training that are its own guesses; rises from 0; {_OFF}",
        "training", low=0, high=1,
    )  # fmt: skip
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
        0.998, f"decay of the moving average of the weights; {_OFF}", "training", low=0, high=1, below=True
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
        0.05, "share of the training pairs held out; 0 = none", "training", low=0, high=1, below=True
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

    beams: int = option(5, "sequences that the search follows; 1 = greedy", "search", low=1, high=1000)
    length_penalty: float = option(
        1.0, "0 ranks by probability, 1 nearly by its mean over tokens", "search", low=0, high=10
    )
    coverage_penalty: float = option(
        0.0, f"what it costs to leave source tokens unread; {_OFF}", "search", low=0, high=10
    )

    def __post_init__(self) -> None:
        check_options(self)
        if any(name not in CELLS for name in self.cells):
            raise UsageError(f"cell is {self.cell!r}; it must be rnn, gru, lstm, or these joined by +")
        layers = max(self.encoder_layers, self.decoder_layers)
        if len(self.cells) > 1 and layers > 1:
            raise UsageError(
                f"encoder_layers is {self.encoder_layers} and decoder_layers {self.decoder_layers}; the stack "
                f"{self.cell!r} already names the layers"
            )
        if bool(self.validation_target_data) > bool(self.validation_data):
            raise UsageError("validation_target_data is given without validation_data")

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that `cell` names, bottom first."""
        return tuple(self.cell.split("+"))
