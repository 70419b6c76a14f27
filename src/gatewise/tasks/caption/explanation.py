"""Why a captioner wrote a sentence, as far as its attention tells: where it looked for every word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatewise.data.captions import evenly
from gatewise.data.lines import file_sha256
from gatewise.data.pictures import read_picture
from gatewise.decoding.targets import begin_of, end_of
from gatewise.reports.document import Document
from gatewise.reports.seen import SeenPage, SeenWord, Sheet, frames_sheet, picture_sheet, render

if TYPE_CHECKING:
    from gatewise.tasks.caption.fitted import Description, FittedCaptioner

GREY = 128
"""The picture that shows nothing is of this grey all over."""


@dataclass
class CaptionExplanation(Document):
    """A sentence and where each of its words was looked for; as a page (`html`, `save`), or as plain values.

    Attributes:
        path: the picture, or the clip's folder.
        page: what the page says.
    """

    path: Path
    page: SeenPage

    @property
    def text(self) -> str:
        """The sentence."""
        return self.page.text

    @property
    def words(self) -> list[SeenWord]:
        """A row a word, the end last."""
        return self.page.words

    def to_dict(self) -> dict[str, Any]:
        """Plain values; attention as nested lists, rows of a grid or frames of a clip."""
        return {
            "input": str(self.path),
            "text": self.text,
            "log_probability": self.page.log_probability,
            "words": [
                {
                    "text": word.text,
                    "probability": word.probability,
                    "probability_unseen": word.unseen,
                    "attention": word.attention.tolist(),
                }
                for word in self.words
            ],
            "candidates": [
                {"text": text, "score": score, "log_probability": log_probability}
                for text, score, log_probability in self.page.candidates
            ],
        }

    def _render(self) -> str:
        return render(self.page)


def explain(fitted: FittedCaptioner, path: Path, **search: Any) -> CaptionExplanation:
    """Write a sentence for a picture or a clip, and tell where each word was looked for.

    Raises:
        DataError: as `FittedCaptioner.describe`.
    """
    files = fitted.files_of(path)
    shown = evenly(files, fitted.config.frames) if fitted.config.video else list(files)
    sight = fitted.looker(files)
    (found,) = fitted.candidates_of([sight], **search)
    best = found[0]
    page = SeenPage(
        name=path.name,
        text=best.text,
        log_probability=best.log_probability,
        words=_words(fitted, sight, best),
        candidates=[(one.text, one.score, one.log_probability) for one in found],
        sheet=_sheet(fitted, shown, best),
        about=_about(fitted, shown),
    )
    return CaptionExplanation(path, page)


def _words(fitted: FittedCaptioner, sight: Tensor, best: Description) -> list[SeenWord]:
    """A row a word; of byte pairs of one word the probabilities are multiplied and the attention is averaged."""
    seen = log_probabilities(fitted, sight, best)
    has_pixels = not (fitted.config.features or fitted.config.blind)
    unseen = log_probabilities(fitted, torch.full_like(sight, GREY), best) if has_pixels else None
    words = []
    for group in word_groups(best.tokens, whole=fitted.vocabulary.kind == "words"):
        some = slice(group[0], group[-1] + 1)
        words.append(
            SeenWord(
                "".join(best.tokens[k] for k in group).strip(),
                math.exp(float(seen[some].sum())),
                math.exp(float(unseen[some].sum())) if unseen is not None else None,
                best.attention[some].mean(0),
            )
        )
    return words


@torch.no_grad()
def log_probabilities(fitted: FittedCaptioner, sight: Tensor, found: Description) -> Tensor:
    """log p of each token of a sentence, and of its end where it has one, for what is seen; [written] float32."""
    begin, end = begin_of(fitted.vocabulary), end_of(fitted.vocabulary)
    wanted = [*found.ids, *([end] if found.complete else [])]
    inputs = torch.tensor([begin, *wanted[:-1]], device=fitted.device)[:, None]
    read, _ = fitted.network.decoder(inputs, fitted.begin([sight]))
    never = torch.tensor(fitted.never, device=fitted.device)
    logits = fitted.network.decoder.logits(read)[:, 0].index_fill(1, never, -torch.inf)
    return logits.log_softmax(1).cpu()[torch.arange(len(wanted)), wanted]


def word_groups(tokens: Sequence[str], *, whole: bool) -> list[list[int]]:
    """The numbers of the tokens of each word: each alone, or with those after it that begin with no space."""
    groups: list[list[int]] = []
    for k, token in enumerate(tokens):
        is_end = k == len(tokens) - 1 and token == "</s>"
        if whole or not groups or token[:1].isspace() or is_end:
            groups.append([k])
        else:
            groups[-1].append(k)
    return groups


def _sheet(fitted: FittedCaptioner, shown: Sequence[Path], best: Description) -> Sheet:
    pictures = [read_picture(path, near=640) for path in shown]
    if fitted.config.video:
        return frames_sheet(pictures)
    rows, columns = best.attention.shape[1:] if best.attention.dim() == 3 else (1, 1)
    return picture_sheet(pictures[0], rows, columns)


def _about(fitted: FittedCaptioner, shown: Sequence[Path]) -> list[str]:
    config = fitted.config
    if config.blind:
        seen = "This model sees nothing: the picture is shown to its reader alone."
    elif config.video:
        seen = (
            f"A {config.cell.upper()} read {len(shown)} frames; the memory that the decoder looked at has a step for "
            "each, which also holds what the frames before it left there."
        )
    elif config.features:
        seen = f"The cells are those of the last map of {config.features}; each has also seen much around it."
    else:
        seen = (
            f"The network saw {config.picture_size} × {config.picture_size} pixels as {config.grid} × {config.grid} "
            "cells; each has also seen some of what is around it."
        )
    digest = f"SHA-256 of {shown[0].name}: {file_sha256(shown[0])}."
    return [seen, digest]
