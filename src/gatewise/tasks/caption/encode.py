"""Pictures and sentences as numbers: what the network sees of a file, and batches of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gatewise.data.captions import evenly
from gatewise.data.pictures import read_picture, squared
from gatewise.data.tokenizer import Tokenizer
from gatewise.decoding.targets import Ids, begin_of, begun_and_ended, end_of
from gatewise.errors import DataError
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.features import Features


class Looker:
    """Makes of a picture's file, or of a clip's frames, what the network takes.

    Args:
        cache: folder for the features of a frozen model, or None.
    """

    def __init__(self, config: CaptionConfig, cache: Path | None, device: torch.device) -> None:
        self.config = config
        self.features = Features(config.features, cache, device) if config.features else None
        self.shape: torch.Size | None = None

    def __call__(self, files: Sequence[Path]) -> Tensor:
        """Bytes [n, 3, S, S] of n frames (a picture is one); features [n, h, w, C] float16, of a clip [n, 1, 1, C], the
        mean of each frame's cells; and [1] of whatever a blind network is shown."""
        if self.config.blind:
            return torch.zeros(1)
        frames = evenly(files, self.config.frames) if self.config.video else files
        if self.features is None:
            size = self.config.picture_size
            return torch.stack(
                [torch.from_numpy(squared(read_picture(path, near=size), size)) for path in frames]
            )
        cells = torch.stack([self._cells(self.features, path) for path in frames])
        return cells.float().mean((1, 2), keepdim=True).half() if self.config.video else cells

    def _cells(self, features: Features, path: Path) -> Tensor:
        """Features of one file; kept ones of another model, or damaged ones, may be of any shape."""
        cells = features(path)
        self.shape = self.shape or cells.shape
        width = self.config.feature_size or self.shape[2]
        if cells.shape != self.shape or cells.shape[2] != width:
            raise DataError(
                f"{path}: its features are {[*cells.shape]}, where {[*self.shape[:2], width]} are needed; delete "
                f"those that are kept in {features.folder}"
            )
        return cells


def encode_sentences(
    vocabulary: Tokenizer, captions: Sequence[Sequence[str]], max_length: int
) -> tuple[list[list[Ids]], int]:
    """The sentences of each picture as numbers, cut to `max_length`, and how many were cut."""
    found = iter(vocabulary.encode_ids([text for some in captions for text in some]))
    whole = [[next(found) for _ in some] for some in captions]
    cut = sum(len(ids) > max_length for some in whole for ids in some)
    return [[ids[:max_length] for ids in some] for some in whole], cut


@dataclass(frozen=True)
class Batch:
    """Pictures or clips, each with its sentences.

    Attributes:
        sights: what the network sees, N frames of P pictures or clips, one after the other; see `Looker`.
        counts: frames of each, [P] int64.
        owners: of which of them each sentence tells, [B] int64.
        inputs: begin and the sentence, [T, B]; `wanted`: the sentence and end, [T, B]; their lengths [B].
    """

    sights: Tensor
    counts: Tensor
    owners: Tensor
    inputs: Tensor
    wanted: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device) for part in vars(self).values()))

    @property
    def inside(self) -> Tensor:
        """The steps within each sentence, [T, B] bool."""
        return torch.arange(len(self.wanted), device=self.wanted.device)[:, None] < self.lengths


def collate(sights: Sequence[Tensor], sentences: Sequence[Sequence[Ids]], vocabulary: Tokenizer) -> Batch:
    """What is seen of some pictures, and their sentences, as a batch."""
    seen, counts = side_by_side(sights)
    owners = [k for k, some in enumerate(sentences) for _ in some]
    targets = [ids for some in sentences for ids in some]
    text = begun_and_ended(targets, begin_of(vocabulary), end_of(vocabulary))
    return Batch(seen, counts, torch.tensor(owners, dtype=torch.int64), *text)


def side_by_side(sights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The frames of all, one after the other, and how many each has."""
    counts = torch.tensor([len(one) for one in sights], dtype=torch.int64)
    return torch.cat([*sights]) if sights else torch.zeros(0, 1, 1, 1), counts
