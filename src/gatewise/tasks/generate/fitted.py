"""A trained language model with everything that it needs: network, vocabulary, what it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from gatewise.decoding.sampling import Sampling
from gatewise.errors import DataError, UsageError
from gatewise.tasks.generate.cache import Cache, measure_cached
from gatewise.tasks.generate.card import model_card
from gatewise.tasks.generate.config import TASK, GenerateConfig
from gatewise.tasks.generate.corpus import Part
from gatewise.tasks.generate.measure import NLL, measure_carried, measure_windows
from gatewise.tasks.generate.model import LanguageModel
from gatewise.tasks.generate.vocabulary import Vocabulary, load_vocabulary
from gatewise.tasks.generate.writing import never_written, pieces, read_prompt, write_tokens
from gatewise.training import run as runs
from gatewise.training.device import pick_device
from gatewise.training.fitted import Fitted, network_of, open_run

WARM_UP = 1000
"""Tokens that are read before each piece when a text is measured in several."""


@dataclass
class FittedLanguageModel(Fitted[GenerateConfig, LanguageModel]):
    """A trained language model.

    Args:
        metrics: what `metrics.json` holds: figures, data, tokens, versions, notes.
        history: a row a validation.
    """

    task: ClassVar[str] = TASK
    config: GenerateConfig
    network: LanguageModel
    vocabulary: Vocabulary
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def raw(self) -> bool:
        """Whether it reads any bytes, and not only text."""
        return self.vocabulary.kind == "bytes"

    def tokens(self, content: str | bytes) -> Tensor:
        """Numbers of the tokens of a text, [N] int64."""
        return self.vocabulary.encode(content.encode() if isinstance(content, str) else content)

    def evaluate(
        self, part: Part, *, window: int = 0, streams: int = 1, cache: Cache | None = None
    ) -> dict[str, Any]:
        """How well the text is predicted; see `figures_of`.

        Args:
            window: 0: the state is carried through the whole text; else windows of so many tokens from a zero state.
            streams: carried state only: pieces of the text that are read side by side, each after the `WARM_UP` tokens
                before it. 1 is exact.
            cache: carried state in one stream only: what is measured is the model with this cache.

        Raises:
            DataError: fewer than two tokens. UsageError: a cache with a window or with streams.
        """
        if cache and (window or streams > 1):
            raise UsageError("a cache reads the whole text in one stream; leave out window and streams")
        tokens = self.tokens(part.content)
        if len(tokens) < 2:
            raise DataError(
                f"{part.source}: has {len(tokens)} tokens ({self.vocabulary.kind}); 2 at least are needed"
            )
        self.network.train(False)
        how: dict[str, Any] = {"window": window} if window else {"streams": streams}
        if cache:
            found, how = measure_cached(self.network, tokens, cache), how | {"cache": asdict(cache)}
        elif window:
            found = measure_windows(self.network, tokens, window)
        else:
            found = measure_carried(self.network, tokens, streams=streams, warm_up=WARM_UP)
        return figures_of(found, part.content, tokens, self.vocabulary) | how | {"data": part.described()}

    def write(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Continue a text: the same pieces for the same seed, each as soon as it is written.

        Args:
            prompt: what is continued; empty: the text begins after the end of a line, or where the vocabulary has none
                from a zero state.
            length: tokens to write.
            temperature, top_k, top_p: as in `gatewise.decoding.sampling.Sampling`.

        Yields: pieces of text, without the prompt; a character comes when its last byte has.

        Raises:
            UsageError: a value out of its range, or a prompt of characters that the vocabulary lacks.
        """
        if length < 0:
            raise UsageError(f"length is {length}; it must be at least 0")
        sampling, start = Sampling(temperature, top_k, top_p), read_prompt(self.vocabulary, prompt)
        never = never_written(self.vocabulary)
        self.network.train(False)
        tokens = write_tokens(self.network, start.tokens, length, sampling, never=never, seed=seed)
        return pieces(self.vocabulary, tokens, prompt)

    def card(self) -> str:
        return model_card(self.config, self.metrics)

    def write_parts(self, folder: Path) -> None:
        self.vocabulary.save(folder)


def load_fitted(folder: str | Path, *, device: str = "auto") -> FittedLanguageModel:
    """Read a run folder of the generate recipe.

    Raises:
        RunError: a missing or broken file, another task, or a newer format; the sentence names the file.
    """
    run, config = open_run(folder, TASK, GenerateConfig)
    metrics, history = run.json(runs.METRICS), run.json_lines(runs.LOG)
    vocabulary = load_vocabulary(run.folder)
    made = network_of(run, run.weights(), lambda: LanguageModel(config, vocabulary.size))
    return FittedLanguageModel(config, made.to(pick_device(device)), vocabulary, metrics, history)


def figures_of(found: NLL, content: bytes, tokens: Tensor, vocabulary: Vocabulary) -> dict[str, Any]:
    """A measurement under the usual names.

    Returns:
        tokens (predicted ones: all but the first), loss (nats a token), perplexity, bits_per_token, unknown (tokens
        that the vocabulary lacks). Where tokens can be put back together to the text, also the text's own units, which
        can be compared between vocabularies: nats and bits a byte, and where the text is UTF-8 a character; the first
        token's bytes and characters are not counted.
    """
    figures: dict[str, Any] = {
        "tokens": found.count,
        "loss": found.loss,
        "perplexity": found.perplexity,
        "bits_per_token": found.loss / math.log(2),
        "unknown": vocabulary.count_unknown(tokens),
    }
    if not vocabulary.exact:
        return figures
    if vocabulary.kind == "characters":  # an unknown one has a byte or more all the same
        return figures | _per("character", found, found.count)
    predicted = content[len(vocabulary.to_bytes(tokens[:1].tolist())) :]
    if vocabulary.kind == "bpe":
        figures |= _per("character", found, len(predicted.decode("utf-8", "replace")))
    return figures | _per("byte", found, len(predicted))


def _per(unit: str, found: NLL, count: int) -> dict[str, float]:
    nats = found.total / count
    return {f"{unit}s": count, f"nats_per_{unit}": nats, f"bits_per_{unit}": nats / math.log(2)}
