"""A trained translator with everything that it needs to answer: network, vocabularies, how to search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from gatewise.data.batches import bucketed_batches, pad_ids
from gatewise.data.pairs import Pairs
from gatewise.data.tokenizer import PAD_ID, UNK_ID, Encoded, Tokenizer
from gatewise.decoding.beam_search import Hypothesis, Search
from gatewise.decoding.scoring import INSTALL, is_installed, scores
from gatewise.decoding.searching import search_decoder
from gatewise.decoding.targets import Ids, token_sums
from gatewise.decoding.targets import token_figures as figures_of
from gatewise.tasks.translate.card import model_card
from gatewise.tasks.translate.config import TASK, TranslateConfig
from gatewise.tasks.translate.encode import PairEncoder, collate, note_of_cut_sources
from gatewise.tasks.translate.model import Translator
from gatewise.training import run as runs
from gatewise.training.device import pick_device
from gatewise.training.fitted import Fitted, network_of, open_run

if TYPE_CHECKING:
    from gatewise.tasks.translate.explanation import TranslationExplanation

TOKENIZER, TARGET_TOKENIZER = "tokenizer.json", "target_tokenizer.json"
ROWS = 500
"""Beams of all sentences that are searched at once."""
MEASURED_AT_ONCE = 128
MOST_MORE = 50
"""Tokens that a target may have beyond twice its source's."""


class Translation(NamedTuple):
    """An answer.

    Attributes:
        text: the target.
        score: what the search ranks by: the log-probability over the length penalty, and the coverage.
        log_probability: of its tokens and its end, natural.
        source_tokens, tokens: what was read and written, as texts; the end of the target is `</s>`.
        attention: how far each token looked at each source token, [written, read].
        complete: whether it ended by itself.
        unread: tokens of the source beyond `max_length`, which were not read.
    """

    text: str
    score: float
    log_probability: float
    source_tokens: list[str]
    tokens: list[str]
    attention: Tensor
    complete: bool
    unread: int = 0


@dataclass
class FittedTranslator(Fitted[TranslateConfig, Translator]):
    """A trained translator.

    Args:
        metrics: what `metrics.json` holds: figures, data, split, versions, notes.
        history: a row a validation.
    """

    task: ClassVar[str] = TASK
    config: TranslateConfig
    network: Translator
    encoder: PairEncoder
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def translate(self, texts: Sequence[str], **search: Any) -> list[Translation]:
        """The best target of each text.

        Args:
            search: beams, length_penalty, coverage_penalty, in place of the run's.

        Raises:
            UsageError: a value out of its range.
        """
        return [found[0] for found in self._answers(texts, 1, search)]

    def candidates(self, texts: Sequence[str], **search: Any) -> list[list[Translation]]:
        """Up to `beams` targets of each text, the best first. A text without tokens has the empty one."""
        return self._answers(texts, None, search)

    def _answers(
        self, texts: Sequence[str], most: int | None, search: dict[str, Any]
    ) -> list[list[Translation]]:
        """At most so many of the best targets of each text."""
        whole = self.encoder.whole_sources(texts)
        sources = self.encoder.cut(whole)
        found: list[list[Translation]] = []
        for k, row in enumerate(self.search(sources, **search)):
            read, unread = self.encoder.as_read(texts[k], sources[k]), len(whole[k]) - len(sources[k])
            found.append([self.translation(read, one, unread) for one in row[:most]] or [_nothing()])
        return found

    @torch.no_grad()
    def search(self, sources: Sequence[Ids], **search: Any) -> list[list[Hypothesis]]:
        """What the search finds for encoded sources, the best first; nothing for one without tokens.

        How long a target may become depends on its own source alone, as everything that is found for it.
        """
        names = ("beams", "length_penalty", "coverage_penalty")
        how = replace(Search(), **{name: getattr(self.config, name) for name in names} | search)
        size = max(1, ROWS // how.beams)
        found: list[list[Hypothesis]] = [[]] * len(sources)
        for batch in bucketed_batches([len(source) for source in sources], size):
            some = [k for k in batch if len(sources[k])]
            if some:
                rows = self._search([sources[k] for k in some], how)
                for k, row in zip(some, rows, strict=True):
                    found[k] = row
        return found

    def explain(self, text: str, target: str | None = None, **options: Any) -> TranslationExplanation:
        """Why the target of a text is what it is; see `gatewise.tasks.translate.explanation.explain`."""
        from gatewise.tasks.translate.explanation import explain

        return explain(self, text, target, **options)

    def evaluate(self, data: Pairs, **search: Any) -> dict[str, Any]:
        """Figures on pairs: `loss` (nats a token, end included), `perplexity`, `accuracy` of the next token, and of the
        searched targets `bleu` and `chrf` with their signatures where sacrebleu is installed."""
        whole, targets = self.encoder.whole_sources(data.sources), self.encoder.targets(data.targets)
        sums = token_figures(self.network, self.encoder, self.encoder.cut(whole), targets)
        figures: dict[str, Any] = {"examples": len(data)} | figures_of(*sums)
        notes = list(data.notes)
        cut = sum(len(source) > self.encoder.max_length for source in whole)
        if cut:
            notes.append(note_of_cut_sources(cut, len(data), self.encoder.max_length))
        if is_installed():
            figures |= scores([one.text for one in self.translate(data.sources, **search)], data.targets)
        else:
            notes.append(f"no BLEU: sacrebleu is not installed ({INSTALL})")
        return figures | {"data": {"source": data.source, "sha256": data.sha256}, "notes": notes}

    def card(self) -> str:
        return model_card(self.config, self.metrics)

    def write_parts(self, folder: Path) -> None:
        self.encoder.source.save(folder / TOKENIZER)
        if not self.encoder.shared:
            self.encoder.target.save(folder / TARGET_TOKENIZER)

    def _search(self, sources: Sequence[Ids], how: Search) -> list[list[Hypothesis]]:
        device = next(self.network.parameters()).device
        ids, lengths = (part.to(device) for part in pad_ids(sources))
        start = self.network.read(ids, lengths)
        begin, end = self.encoder.begin, self.encoder.end
        return search_decoder(
            self.network.decoder, start, how, begin=begin, end=end, never=self.never_written,
            longest=[2 * len(source) + MOST_MORE for source in sources],
        )  # fmt: skip

    @property
    def never_written(self) -> tuple[int, int]:
        """No text has padding or a beginning; an unknown word only where nothing else is to be had, by its
        probability."""
        return PAD_ID, self.encoder.begin

    def translation(self, read: Encoded, found: Hypothesis, unread: int) -> Translation:
        """What a search found for the tokens that were read of a text, as an answer."""
        attention = found.attention[:, : len(read)].cpu()
        # A word that the vocabulary lacks is copied from where the decoder looked (Luong 2015, "Addressing the rare
        # word problem"); byte pairs know every word.
        copied = {
            t: read.tokens[int(attention[t].argmax())]
            for t, token in enumerate(found.tokens)
            if token == UNK_ID
        }
        return Translation(
            self.encoder.target.decode(found.tokens, copied),
            found.score,
            found.log_probability,
            read.tokens,
            [copied.get(t) or self.encoder.target.decode([token]) for t, token in enumerate(found.tokens)]
            + ([END] if found.complete else []),
            attention,
            found.complete,
            unread,
        )


END = "</s>"


def _nothing() -> Translation:
    return Translation("", 0.0, 0.0, [], [], torch.zeros(0, 0), True)


def token_figures(
    network: nn.Module, encoder: PairEncoder, sources: Sequence[Ids], targets: Sequence[Ids]
) -> tuple[float, float, float]:
    """Sums over all tokens of the targets and their ends: cross-entropy in nats, tokens that lead, tokens."""
    device = next(network.parameters()).device
    batches = bucketed_batches([len(target) for target in targets], MEASURED_AT_ONCE)
    return token_sums(
        network,
        (
            collate([sources[k] for k in batch], [targets[k] for k in batch], encoder).to(device)
            for batch in batches
        ),
    )


def make_network(config: TranslateConfig, encoder: PairEncoder) -> Translator:
    """The network that a configuration describes, for these vocabularies."""
    return Translator(config, encoder.source.vocab_size, encoder.target.vocab_size + 2, shared=encoder.shared)


def load_fitted(folder: str | Path, *, device: str = "auto") -> FittedTranslator:
    """Read a run folder of the translate recipe.

    Raises:
        RunError: a missing or broken file, another task, or a newer format; the sentence names the file.
    """
    run, config = open_run(folder, TASK, TranslateConfig)
    metrics, history = run.json(runs.METRICS), run.json_lines(runs.LOG)
    source = Tokenizer.load(run.path(TOKENIZER))
    target = source if config.shared else Tokenizer.load(run.path(TARGET_TOKENIZER))
    encoder = PairEncoder(source, target, config.max_length)
    network = network_of(run, run.weights(), lambda: make_network(config, encoder)).to(pick_device(device))
    return FittedTranslator(config, network, encoder, metrics, history)
