"""Language models side by side on one text, also where they cut it into other tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.bootstrap import Floats
from gatewise.comparing.comparison import Comparison, check_enough
from gatewise.comparing.comparison import compare as side_by_side
from gatewise.comparing.figures import Figure, bits, perplexity, ratio
from gatewise.comparing.runs import check_runs, compared
from gatewise.errors import DataError, UsageError
from gatewise.tasks.generate.config import TASK
from gatewise.tasks.generate.corpus import Part, read_part
from gatewise.tasks.generate.fitted import FittedLanguageModel, load_fitted
from gatewise.tasks.generate.measure import token_losses

BLOCK = 1000
"""Bytes of a block, the examples of the bootstrap: neighbouring characters are anything but independent."""


def compare(
    runs: Sequence[str | Path],
    data: str | Path,
    *,
    window: int = 0,
    block: int = BLOCK,
    seed: int = 0,
    device: str = "auto",
) -> Comparison:
    """Set language models side by side on a text.

    Runs with other tokens are compared by bits a byte and a character of the text, never by their own tokens; loss and
    perplexity are there where all cut the text into the same ones. Blocks of the text are the examples; what a run
    loses on a token counts in the block in which the token begins.

    Args:
        runs: run folders, the first is the one that the others are compared with.
        data: a text file, or a folder of them.
        window: 0: the state is carried through the text; else windows of so many tokens from a zero state.
        block: bytes of a block.
        seed: of the bootstrap.

    Raises:
        UsageError: runs that cannot be compared, such as those of words with other vocabularies.
        RunError: a broken run. DataError: a text that cannot be read, is too short, or that the runs read differently.
    """
    if block < 1:
        raise UsageError(f"block is {block}; it must be at least 1")
    check_runs(runs, TASK)
    measured = [_measure(run, data, window, block, device) for run in runs]
    for other in measured[1:]:
        _check_same(measured[0], other, data)
    alike = all(torch.equal(one.tokens, measured[0].tokens) for one in measured)
    inexact = [one for one in measured if not one.fitted.vocabulary.exact]
    if inexact and not alike:
        raise UsageError(
            f"{inexact[0].run}: reads words and drops the blanks between them, so that it can be compared only with "
            "runs of the same vocabulary"
        )
    notes = [note for one in measured for note in one.notes()]
    if not alike:
        notes.append("the runs cut the text into different tokens, so that no figure is one a token")
    part = measured[0].part
    text = not inexact and _is_text(part.content)
    which = {"per_token": alike, "per_byte": not inexact, "per_character": text}
    found = [
        compared(one.run, one.figures(block, **which), one.fitted.config, one.fitted.metrics)
        for one in measured
    ]
    return side_by_side(
        found, unit=f"blocks of {block:,} bytes", seed=seed, data=part.described(), notes=notes
    )


@dataclass(frozen=True)
class _Measured:
    """A run on a text: its tokens [N], and what each but the first costs, [N - 1] nats."""

    run: str
    fitted: FittedLanguageModel
    part: Part
    tokens: Tensor
    losses: Floats

    def notes(self) -> list[str]:
        vocabulary = self.fitted.vocabulary
        unknown = vocabulary.count_unknown(self.tokens)
        if not unknown:
            return []
        return [
            f"{self.run}: {unknown:,} of the {len(self.tokens):,} {vocabulary.kind} of the text are unknown to it, and "
            "it need not tell which they are"
        ]

    def figures(self, block: int, *, per_token: bool, per_byte: bool, per_character: bool) -> list[Figure]:
        ends = self._ends()
        begins = ends[:-1]  # of the tokens that are predicted
        blocks = (begins // block).astype(np.int64)

        def sums(values: NDArray[Any]) -> Floats:
            size = -(-len(self.part.content) // block)
            return np.bincount(blocks, values, size).astype(np.float64)

        nats = sums(self.losses)
        found = []
        if per_token:
            each = sums(np.ones(len(blocks)))
            found += [ratio("loss", nats, each), perplexity(nats, each)]
        if per_byte:
            found.append(bits("byte", nats, sums(np.diff(ends))))
        if per_character:
            found.append(bits("character", nats, sums(np.diff(_characters_before(self.part.content)[ends]))))
        return found

    def _ends(self) -> NDArray[np.int64]:
        """Where each token ends in the text's bytes, [N]; of words about where."""
        vocabulary, content = self.fitted.vocabulary, self.part.content
        if vocabulary.exact:
            return np.cumsum(vocabulary.byte_lengths(content, self.tokens))
        return np.arange(1, len(self.tokens) + 1) * len(content) // len(self.tokens)


def _measure(run: str | Path, data: str | Path, window: int, block: int, device: str) -> _Measured:
    fitted = load_fitted(run, device=device)
    part = read_part(data, raw=fitted.raw, column=fitted.config.text)
    check_enough(-(-len(part.content) // block), f"blocks of {block:,} bytes", part.source)
    tokens = fitted.tokens(part.content)
    fitted.network.train(False)
    losses = token_losses(fitted.network, tokens, window)
    return _Measured(str(run), fitted, part, tokens, losses.numpy())


def _check_same(first: _Measured, other: _Measured, data: str | Path) -> None:
    if other.part.content != first.part.content:
        texts = [f"{len(one.part.content):,} bytes by {one.run}" for one in (first, other)]
        raise DataError(f"{data}: is read as {texts[0]} and as {texts[1]}, which are not the same text")


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _characters_before(content: bytes) -> NDArray[np.int64]:
    """How many characters begin before each place between bytes, [bytes + 1]."""
    begins = np.frombuffer(content, np.uint8) & 0xC0 != 0x80
    return np.concatenate(([0], np.cumsum(begins)))
