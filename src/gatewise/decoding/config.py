"""The options that recipes share which write a sequence with the attentional decoder."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.training.config import option
from gatewise.training.recipe_config import OFF, ExamplesConfig


@dataclass(frozen=True)
class WriterConfig(ExamplesConfig):
    """Besides what every recipe has: the vocabulary, the decoder, its loss, and the search for what it writes.

    Raises:
        UsageError: as `ExamplesConfig`; layers of one cell where `cell` is a stack.
    """

    tokenizer: str = option("bpe", "how texts are cut into tokens", "text", choices=("bpe", "words"))
    vocab_size: int = option(8_000, "most tokens of a vocabulary", "text", low=8, high=1_000_000)

    decoder_layers: int = option(1, "layers of one cell in the decoder", "model", low=1, high=16)
    attention: str = option(
        "luong",
        "luong: the decoder is one fused call; bahdanau: what was looked at goes into the next step",
        "model",
        choices=("luong", "bahdanau"),
    )
    tied: bool = option(True, "the embedding of what is written is also the output's weights", "model")

    label_smoothing: float = option(
        0.1, "share of each target's probability given to all tokens", "training", low=0, high=1, below=True
    )

    beams: int = option(5, "sequences that the search follows; 1 = greedy", "search", low=1, high=1000)
    length_penalty: float = option(
        1.0, "0 ranks by probability, 1 nearly by its mean over tokens", "search", low=0, high=10
    )
    coverage_penalty: float = option(
        0.0, f"what it costs to leave parts of the input unread; {OFF}", "search", low=0, high=10
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_layers_of_a_stack("decoder_layers")
