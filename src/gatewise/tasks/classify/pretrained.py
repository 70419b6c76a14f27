"""A language model's vocabulary, embedding and layers as the start of a classifier.

Source: Dai & Le 2015, "Semi-supervised sequence learning", section 2 (their LM-LSTM).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gatewise.data.lines import file_sha256
from gatewise.data.tokenizer import PAD_ID, Tokenizer
from gatewise.data.wording import count
from gatewise.errors import UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.generate.fitted import FittedLanguageModel, load_fitted
from gatewise.tasks.generate.vocabulary import BytePairs
from gatewise.training.run import WEIGHTS

FOLLOWED = ("tokenizer", "vocab_size", "cell", "embedding_size", "hidden_size", "num_layers")
"""Options of a classifier that are those of the language model it starts from."""


@dataclass(frozen=True)
class LanguageModelStart:
    """What a classifier takes over from a language model.

    Attributes:
        place: the run folder.
        tokenizer: its byte pairs.
        options: `FOLLOWED` and their values.
        embedding: [V, E]; layers: each layer's weights by their names in a layer of one, bottom first.
        sha256: of the run's weights.
    """

    place: str
    tokenizer: Tokenizer
    options: dict[str, str | int]
    embedding: Tensor
    layers: list[dict[str, Tensor]]
    sha256: str

    @classmethod
    def read(cls, run: str) -> LanguageModelStart:
        """Read a run of the generate recipe.

        Raises:
            RunError: not a whole run of that recipe. UsageError: its tokens are no byte pairs, or its layers differ in
                size.
        """
        fitted = load_fitted(run, device="cpu")
        if not isinstance(fitted.vocabulary, BytePairs):
            raise UsageError(
                f"{run}: a language model of {fitted.vocabulary.kind}; a classifier can start from one of bpe"
            )
        sizes = set(fitted.config.sizes)
        if len(sizes) > 1:
            raise UsageError(
                f"{run}: layers of {' and '.join(map(str, fitted.config.sizes))} units; a classifier can start from "
                "layers of one size (embedding_size equal to hidden_size, or no tie)"
            )
        return cls(
            run,
            fitted.vocabulary.tokenizer,
            _options(fitted),
            fitted.network.embedding.detach(),
            [dict(layer.state_dict()) for layer in fitted.network.recurrent.layers],
            file_sha256(Path(run) / WEIGHTS),
        )

    def applied_to(self, config: ClassifyConfig) -> ClassifyConfig:
        """The options with those of the language model."""
        return replace(config, **self.options)

    @property
    def vectors(self) -> Tensor:
        """First embeddings [V, E]; that of padding is zero."""
        vectors = self.embedding.clone()
        vectors[PAD_ID] = 0
        return vectors

    @torch.no_grad()
    def give_layers(self, network: SequenceClassifier) -> None:
        """Give the classifier's layers the weights of the language model's."""
        weights = network.recurrent.state_dict()
        for number, layer in enumerate(self.layers):
            for name, value in layer.items():
                weights[name.replace("_l0", f"_l{number}")].copy_(value)

    @property
    def note(self) -> str:
        return (
            f"vocabulary, embedding and {count(len(self.layers), 'layer')} begin as those of the language model "
            f"{self.place}"
        )


def _options(fitted: FittedLanguageModel) -> dict[str, str | int]:
    config = fitted.config
    values = (
        "bpe",
        fitted.vocabulary.size,
        config.cell,
        config.embedding_size,
        config.sizes[0],
        config.num_layers,
    )
    return dict(zip(FOLLOWED, values, strict=True))
