"""A trained captioner with everything that it needs to answer: network, vocabulary, how to look and to search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from gatewise.data.captions import Captions
from gatewise.data.pictures import picture_files
from gatewise.data.tokenizer import PAD_ID, UNK_ID, Tokenizer
from gatewise.decoding.beam_search import Hypothesis, Search
from gatewise.decoding.decoder import Decoding
from gatewise.decoding.scoring import INSTALL, is_installed, scores
from gatewise.decoding.searching import search_decoder
from gatewise.decoding.targets import Ids, begin_of, end_of, token_figures, token_sums
from gatewise.errors import DataError
from gatewise.files import is_folder
from gatewise.tasks.caption.card import model_card
from gatewise.tasks.caption.config import TASK, CaptionConfig
from gatewise.tasks.caption.encode import Looker, collate, encode_sentences, side_by_side
from gatewise.tasks.caption.model import Captioner
from gatewise.training import run as runs
from gatewise.training.device import pick_device
from gatewise.training.fitted import Fitted, network_of, open_run

if TYPE_CHECKING:
    from gatewise.tasks.caption.explanation import CaptionExplanation

TOKENIZER = "tokenizer.json"
AT_ONCE = 32
"""Pictures that are looked at, and of which sentences are searched, together."""
END = "</s>"


class Description(NamedTuple):
    """A sentence about a picture or a clip.

    Attributes:
        text: the sentence.
        score: what the search ranks by: the log-probability over the length penalty, and the coverage.
        log_probability: of its tokens and its end, natural, among all tokens but those that are never written.
        ids, tokens: what was written, as numbers and as texts; the texts have `</s>` at the end.
        attention: how far each token looked at each cell of the grid, [written, h, w]; of a clip at each frame,
            [written, frames].
        complete: whether it ended by itself.
    """

    text: str
    score: float
    log_probability: float
    ids: list[int]
    tokens: list[str]
    attention: Tensor
    complete: bool


@dataclass
class FittedCaptioner(Fitted[CaptionConfig, Captioner]):
    """A trained captioner.

    Args:
        metrics: what `metrics.json` holds: figures, data, split, versions, notes.
        history: a row a validation.
    """

    task: ClassVar[str] = TASK
    config: CaptionConfig
    network: Captioner
    vocabulary: Tokenizer
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @cached_property
    def looker(self) -> Looker:
        """How files are looked at. Features are not kept: a run's paths are opened when it is trained alone."""
        return Looker(self.config, None, self.device)

    def describe(self, paths: Sequence[str | Path], **search: Any) -> list[Description]:
        """The best sentence of each picture file, or of each folder of frames where the run is about clips.

        Args:
            search: beams, length_penalty, coverage_penalty, in place of the run's.

        Raises:
            DataError: a file that is no picture, or a clip where pictures are needed, or the other way round.
            UsageError: a value out of its range.
        """
        return [found[0] for found in self.candidates(paths, **search)]

    def candidates(self, paths: Sequence[str | Path], **search: Any) -> list[list[Description]]:
        """Up to `beams` sentences of each, the best first."""
        looker, found = self.looker, []
        for start in range(0, len(paths), AT_ONCE):
            sights = [looker(self.files_of(Path(path))) for path in paths[start : start + AT_ONCE]]
            found += self.candidates_of(sights, **search)
        return found

    @torch.no_grad()
    def candidates_of(self, sights: Sequence[Tensor], **search: Any) -> list[list[Description]]:
        """As `candidates`, for what a `Looker` made of the files."""
        names = ("beams", "length_penalty", "coverage_penalty")
        options = {name: getattr(self.config, name) for name in names} | search
        how = replace(Search(), **options, longest=self.config.max_length)
        found = []
        for start in range(0, len(sights), AT_ONCE):
            some = sights[start : start + AT_ONCE]
            for sight, row in zip(some, self._search(some, how), strict=True):
                found.append([self._description(sight, one) for one in row])
        return found

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """The picture, or the frames of the clip, at a path."""
        if self.config.video and not is_folder(path, DataError):
            raise DataError(f"{path}: this run is about clips, each a folder of frames; here is no folder")
        if not self.config.video and is_folder(path, DataError):
            raise DataError(f"{path}: is a folder; a picture is needed")
        return tuple(picture_files(path)) if self.config.video else (path,)

    def evaluate(self, data: Captions, **search: Any) -> dict[str, Any]:
        """Figures on pictures with sentences; see `evaluate_on`.

        Raises:
            DataError: clips where pictures are needed, or the other way round; a broken picture.
        """
        check_kind(data, self.config)
        looker = self.looker
        sights = [looker(files) for files in data.files]
        return self.evaluate_on(sights, data, **search)

    def evaluate_on(self, sights: Sequence[Tensor], data: Captions, **search: Any) -> dict[str, Any]:
        """Figures of what a `Looker` saw: `loss` (nats a token, end included), `perplexity`, `accuracy` of the next
        token; of the searched sentences the share that is exactly one of the picture's (`exact`), and `bleu` and `chrf`
        against all of them with their signatures, where sacrebleu is installed."""
        targets, cut = encode_sentences(self.vocabulary, data.captions, self.config.max_length)
        sums = caption_sums(self.network, self.vocabulary, sights, targets)
        figures: dict[str, Any] = {"examples": len(data), "sentences": data.sentences} | token_figures(*sums)
        notes = list(data.notes)
        if cut:
            notes.append(
                f"{cut:,} of {data.sentences:,} sentences cut to {self.config.max_length} tokens (max_length)"
            )
        written = [row[0].text for row in self.candidates_of(sights, **search)]
        figures["exact"] = sum(self.are_right(written, targets)) / len(data)
        if is_installed():
            figures |= scores(written, *self.references(data))
        else:
            notes.append(f"no BLEU: sacrebleu is not installed ({INSTALL})")
        return figures | {"data": source_of(data), "notes": notes}

    def are_right(self, written: Sequence[str], targets: Sequence[Sequence[Ids]]) -> list[bool]:
        """Whether each text is one of those of its picture; both as the vocabulary writes them, so that neither case
        nor spaces before full stops count."""
        shown = [{self.vocabulary.decode(ids.tolist()) for ids in some} for some in targets]
        return [text in some for text, some in zip(written, shown, strict=True)]

    def references(self, data: Captions) -> list[tuple[str | None, ...]]:
        """The sentences as `gatewise.decoding.scoring.scores` takes them."""
        return [*zip_longest(*(self._as_written(some) for some in data.captions))]

    def explain(self, path: str | Path, **search: Any) -> CaptionExplanation:
        """The sentence of a picture or a clip, with where each word looked: a page, or plain values."""
        from gatewise.tasks.caption.explanation import explain

        return explain(self, Path(path), **search)

    def card(self) -> str:
        return model_card(self.config, self.metrics)

    def write_parts(self, folder: Path) -> None:
        self.vocabulary.save(folder / TOKENIZER)

    @property
    def never(self) -> tuple[int, ...]:
        """Tokens that are not written: padding and the beginning, and the unknown word, which stands for nothing."""
        return PAD_ID, UNK_ID, begin_of(self.vocabulary)

    def begin(self, sights: Sequence[Tensor]) -> Decoding:
        """The decoder's state before the first token of a sentence about each."""
        seen, counts = (part.to(self.device) for part in side_by_side(sights))
        return self.network.begin(seen, counts, torch.arange(len(counts), device=self.device))

    def _search(self, sights: Sequence[Tensor], how: Search) -> list[list[Hypothesis]]:
        begin, end = begin_of(self.vocabulary), end_of(self.vocabulary)
        start = self.begin(sights)
        return search_decoder(self.network.decoder, start, how, begin=begin, end=end, never=self.never)

    def _description(self, sight: Tensor, found: Hypothesis) -> Description:
        steps = found.attention.cpu()
        if self.config.blind:
            attention = steps
        elif self.config.video:
            attention = steps[:, : len(sight)]
        else:
            h, w = grid_of(self.config, sight)
            attention = steps.unflatten(1, (h, w))
        return Description(
            self.vocabulary.decode(found.tokens),
            found.score,
            found.log_probability,
            found.tokens,
            [self.vocabulary.decode([token]) for token in found.tokens] + ([END] if found.complete else []),
            attention,
            found.complete,
        )

    def _as_written(self, sentences: Sequence[str]) -> list[str]:
        """References as the vocabulary writes them, unknown words as they stand: words are in lower case."""
        if self.vocabulary.kind == "bpe":
            return list(sentences)
        return [
            self.vocabulary.decode(one.ids, {k: token.lower() for k, token in enumerate(one.tokens)})
            for one in self.vocabulary.encode_batch(sentences)
        ]


def grid_of(config: CaptionConfig, sight: Tensor) -> tuple[int, int]:
    """Rows and columns of a picture's cells."""
    return (sight.shape[1], sight.shape[2]) if config.features else (config.grid, config.grid)


def check_kind(data: Captions, config: CaptionConfig) -> None:
    """Refuse clips where the run is about pictures, and pictures where it is about clips."""
    if data.video != config.video:
        kinds = {True: "clips (folders of frames)", False: "pictures"}
        raise DataError(
            f"{data.source}: tells of {kinds[data.video]}; this run is about {kinds[config.video]}"
        )


def caption_sums(
    network: nn.Module, vocabulary: Tokenizer, sights: Sequence[Tensor], targets: Sequence[Sequence[Ids]]
) -> tuple[float, float, float]:
    """Sums over all tokens of the sentences and their ends; see `token_sums`."""
    device = next(network.parameters()).device

    def batches() -> Iterator[Any]:
        for start in range(0, len(sights), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            yield collate(sights[some], targets[some], vocabulary).to(device)

    return token_sums(network, batches())


def source_of(data: Captions) -> dict[str, Any]:
    """What a run notes of its data."""
    return {"source": data.source, "pictures": data.folder, "sha256": data.sha256} | {
        "examples": len(data),
        "sentences": data.sentences,
    }


def make_network(config: CaptionConfig, vocabulary: Tokenizer) -> Captioner:
    """The network that a configuration describes, for this vocabulary."""
    return Captioner(config, vocabulary.vocab_size + 2)


def load_fitted(folder: str | Path, *, device: str = "auto") -> FittedCaptioner:
    """Read a run folder of the caption recipe.

    Raises:
        RunError: a missing or broken file, another task, or a newer format; the sentence names the file.
    """
    run, config = open_run(folder, TASK, CaptionConfig)
    metrics, history = run.json(runs.METRICS), run.json_lines(runs.LOG)
    vocabulary = Tokenizer.load(run.path(TOKENIZER))
    network = network_of(run, run.weights(), lambda: make_network(config, vocabulary)).to(pick_device(device))
    return FittedCaptioner(config, network, vocabulary, metrics, history)
