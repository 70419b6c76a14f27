"""Why a translator wrote what it wrote: where it looked, what it had in memory, and what both pushed.

For every written token the margin, its logit minus that of its strongest rival, is a sum (`gatewise.decoding.ledger`):
what each source word wrote into the encoder's states that attention read, the same through the decoder's first state,
what each word that was written before wrote into the decoder's state, and biases. Gates and attention stay as they
were. A plain RNN keeps no such sum: of it there is only what was read at each place, and the state as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatewise.decoding.ledger import (
    DecoderPass,
    Margins,
    WrittenLedger,
    in_rows,
    margins,
    open_decoder,
    top_layer,
    written_ledger,
)
from gatewise.decoding.targets import Ids
from gatewise.errors import DataError, UsageError
from gatewise.memory import LayerTrace, held, push, record
from gatewise.memory.push import tanh_ratio
from gatewise.tasks.translate.encode import note_of_cut_source
from gatewise.tasks.translate.words import whole_words, written_spans

if TYPE_CHECKING:
    from gatewise.reports.written import Written
    from gatewise.tasks.translate.fitted import FittedTranslator, Translation

MOST_TOKENS = 500
"""Of a target; the ledger of T of them has T² numbers."""


@dataclass(frozen=True)
class Candidate:
    """A target that the search found."""

    text: str
    score: float
    log_probability: float
    complete: bool


@dataclass(frozen=True)
class Step:
    """One written token. S tokens of the source; `earlier` are the beginning and the tokens written before this one.

    Attributes:
        token, rival: the token, and the most probable other one.
        probability, rival_probability: among all that can be written, not calibrated.
        margin: the token's logit minus its rival's, the logarithm of the ratio of their probabilities.
        attention: [S], how far it looked at the state of each source token.
        place_push: [S], how far what was read at each place pushed the margin, whoever wrote it.
        state_push: how far the decoder's state did.
        source_held: [S], each source token's share of the memory behind the encoder's states that were read; two
            directions: the mean of both. Empty for a plain RNN, like what follows.
        source_push: [S], how far what each source token wrote pushed, through what attention read.
        start_push: [S], the same through the decoder's first state.
        earlier_held: the share that each earlier token has in the memory of the decoder; with `start_held`, that of
            its first state, they sum to 1.
        earlier_push: how far what each earlier token wrote into it pushed.
        bias: what no token wrote: the biases of the output and of the first state.
        residual: margin - (Σ source_push + Σ start_push + Σ earlier_push + bias), for a plain RNN
            margin - (Σ place_push + state_push + bias): rounding.
    """

    token: str
    rival: str
    probability: float
    rival_probability: float
    margin: float
    attention: list[float]
    place_push: list[float]
    state_push: float
    source_held: list[float]
    source_push: list[float]
    start_push: list[float]
    earlier_held: list[float]
    earlier_push: list[float]
    start_held: float
    bias: float
    residual: float


@dataclass(frozen=True)
class TranslationExplanation:
    """One target, taken apart.

    Attributes:
        source, target: the texts. given: whether the target was given, and not found by the search.
        log_probability: of the target's tokens and its end, natural.
        complete: whether the target has its end; a search stops at a longest length.
        source_tokens: S of them; tokens: T, the end `</s>` the last one.
        source_spans, spans: where each stands in its text; of the end, where the text ends.
        source_words, words: the tokens of each word, for byte pairs are pieces of words; the end is a word.
        candidates: what the search found, the best first; empty where the target was given.
        steps: T of them.
        notes: what a reader must know.
    """

    source: str
    target: str
    given: bool
    log_probability: float
    complete: bool
    source_tokens: list[str]
    tokens: list[str]
    source_spans: list[tuple[int, int]]
    spans: list[tuple[int, int]]
    source_words: list[list[int]]
    words: list[list[int]]
    candidates: list[Candidate]
    steps: list[Step]
    notes: list[str]
    command: str = field(default="", repr=False)

    def __repr__(self) -> str:
        return f"TranslationExplanation({self.target!r}, {len(self.steps)} tokens)"

    @property
    def has_ledger(self) -> bool:
        """Whether the layers keep sums of what was written."""
        return bool(self.steps[0].earlier_push)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def page(self) -> Written:
        """One HTML page; a notebook shows it."""
        from gatewise.tasks.translate.page import page_of  # it knows this class

        return page_of(self)

    def to_html(self) -> str:
        """One self-contained HTML page."""
        return self.page().html

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()


@torch.no_grad()
def explain(
    fitted: FittedTranslator, text: str, target: str | None = None, *, command: str = "", **search: Any
) -> TranslationExplanation:
    """Explain a target.

    Args:
        target: explain this one; None: the best that the search finds.
        command: noted on the page as the command that made it.
        search: as in `FittedTranslator.translate`.

    Raises:
        DataError: a text without tokens. UsageError: a target of too many tokens; a search option out of its range.
    """
    encoder = fitted.encoder
    (source,) = encoder.sources([text])
    if not len(source):
        raise DataError("the text is empty")
    found = [] if target is not None else fitted.search([source], **search)[0]
    read = encoder.source.encode(text)
    unread = len(read) - len(source)
    answers = [fitted.translation(read.take(range(len(source))), one, unread) for one in found]
    if target is None:
        written, complete = found[0].tokens, found[0].complete
    else:
        written, complete = encoder.targets([target])[0].tolist(), True
    if len(written) > MOST_TOKENS:
        raise UsageError(f"the target has {len(written):,} tokens; at most {MOST_TOKENS} can be explained")
    wanted = [*written, encoder.end] if complete else written
    insides = _insides(fitted, source, wanted)
    shown, spans, tokens = _shown(fitted, written, target, answers[0] if answers else None)
    if complete:
        spans, tokens = [*spans, (len(shown), len(shown))], [*tokens, "</s>"]
    words = whole_words(shown, spans[: len(written)]) + ([[len(written)]] if complete else [])
    rivals = _rival_names(fitted, insides.rivals.tolist())
    steps = [_step(insides, t, tokens[t], rivals[t]) for t in range(len(wanted))]
    return TranslationExplanation(
        source=text,
        target=shown,
        given=target is not None,
        log_probability=float(insides.log_p[:, 0].sum()),
        complete=complete,
        source_tokens=read.tokens[: len(source)],
        tokens=tokens,
        source_spans=read.spans[: len(source)],
        spans=spans,
        source_words=whole_words(text, read.spans[: len(source)]),
        words=words,
        candidates=[Candidate(one.text, one.score, one.log_probability, one.complete) for one in answers],
        steps=steps,
        notes=_notes(fitted, len(read.tokens), len(source), has_ledger=insides.written is not None),
        command=command,
    )


@dataclass(frozen=True, eq=False)
class _Insides:
    """Everything that was computed for T tokens; log_p [T, 2] of each and its rival."""

    seen: DecoderPass
    rivals: Tensor
    log_p: Tensor
    margins: Margins
    place_push: Tensor
    state_push: Tensor
    source_held: Tensor | None = None
    source_push: Tensor | None = None
    start_push: Tensor | None = None
    start_bias: Tensor | None = None
    written: WrittenLedger | None = None


def _insides(fitted: FittedTranslator, source: Ids, wanted: Sequence[int]) -> _Insides:
    network, encoder = fitted.network, fitted.encoder
    device = next(network.parameters()).device
    ids = torch.from_numpy(source).to(device, torch.int64)[:, None]
    with record(network.encoder) as trace:
        start = network.read(ids, torch.tensor([len(source)], device=device))
    inputs = torch.tensor([encoder.begin, *wanted[:-1]], device=device)
    seen = open_decoder(network.decoder, start, inputs)
    targets = torch.tensor(wanted, device=device)
    rivals, log_p = _rivals(fitted, seen.logits, targets)
    worth = margins(network.decoder, seen, targets, rivals)
    values = start.memory.values[:, 0].double()  # [S, M]
    place = seen.attention.double() * (worth.of_context @ values.t())
    state = (worth.of_state * seen.states.double()).sum(1)
    if seen.top.cell.startswith("rnn"):
        return _Insides(seen, rivals, log_p, worth, place, state)
    written = written_ledger(seen.top, worth.of_state)
    encoded = top_layer(trace)
    mean = values.mean(0, keepdim=True)
    of_summary, start_bias = _through_the_start(fitted, mean, written.of_initial)
    even = torch.full_like(seen.attention, 1 / len(source))
    return _Insides(
        seen, rivals, log_p, worth, place, state,
        _source_held(encoded, seen.attention),
        _source_push(encoded, seen.attention, worth.of_context),
        _source_push(encoded, even, of_summary),
        start_bias,
        written,
    )  # fmt: skip


def _rivals(fitted: FittedTranslator, logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable other token of each step [T], and the log-probabilities of both [T, 2]."""
    never = torch.tensor(fitted.never_written, device=logits.device)
    log_p = logits.index_fill(1, never, -torch.inf).log_softmax(1)
    others = log_p.scatter(1, wanted[:, None], -torch.inf)
    rivals = others.argmax(1)
    return rivals, log_p.gather(1, torch.stack((wanted, rivals), 1))


def _through_the_start(fitted: FittedTranslator, mean: Tensor, of_initial: Tensor) -> tuple[Tensor, Tensor]:
    """What the mean [1, M] of the encoder's states is worth through the decoder's first memory, of which a number is
    worth of_initial [T, H]: [T, M]; and what its bias pushes, [T]."""
    linear, size = fitted.network.decoder.start, of_initial.shape[1]
    # The last numbers are the uppermost layer's memory: c after h for an LSTM.
    weight, bias = linear.weight[-size:].double(), linear.bias[-size:].double()
    worth = of_initial * tanh_ratio(mean @ weight.t() + bias)
    return worth @ weight, worth @ bias


def _source_push(encoded: Sequence[LayerTrace], reading: Tensor, of_states: Tensor) -> Tensor:
    """How far what each source token wrote pushed, [T, S], where states are read by [T, S] and worth [T, M]."""
    total = torch.zeros_like(reading, dtype=torch.float64)
    for lt, worth in zip(encoded, of_states.chunk(len(encoded), 1), strict=True):
        for rows, some in in_rows(lt, len(reading), reading.device):
            total[rows] += push(some, reading[rows].t(), worth[rows]).t()
    return total


def _source_held(encoded: Sequence[LayerTrace], reading: Tensor) -> Tensor:
    parts = [
        torch.cat(
            [
                held(some, reading[rows].t()).double().t()
                for rows, some in in_rows(lt, len(reading), reading.device)
            ]
        )
        for lt in encoded
    ]
    return torch.stack(parts).mean(0)


def _step(insides: _Insides, t: int, token: str, rival: str) -> Step:
    worth, ledger = insides.margins, insides.written
    probability, of_rival = insides.log_p[t].exp().tolist()
    margin, place, state = float(worth.value[t]), insides.place_push[t], float(insides.state_push[t])
    bias = float(worth.bias[t])
    parts: dict[str, Any] = {
        name: [] for name in ("source_held", "source_push", "start_push", "earlier_held", "earlier_push")
    }
    total, start_held = float(place.sum()) + state + bias, 0.0
    if ledger is not None and insides.start_bias is not None:
        for name in ("source_held", "source_push", "start_push"):
            parts[name] = getattr(insides, name)[t].tolist()
        parts["earlier_held"] = ledger.held[t, : t + 1].tolist()
        parts["earlier_push"] = ledger.push[t, : t + 1].tolist()
        bias, start_held = bias + float(insides.start_bias[t]), float(ledger.initial_held[t])
        total = sum(sum(parts[name]) for name in ("source_push", "start_push", "earlier_push")) + bias
    return Step(
        token=token,
        rival=rival,
        probability=probability,
        rival_probability=of_rival,
        margin=margin,
        attention=insides.seen.attention[t].tolist(),
        place_push=place.tolist(),
        state_push=state,
        **parts,
        start_held=start_held,
        bias=bias,
        residual=margin - total,
    )


def _shown(
    fitted: FittedTranslator, written: Sequence[int], target: str | None, answer: Translation | None
) -> tuple[str, list[tuple[int, int]], list[str]]:
    """A target as a text, where its tokens stand in it, and the tokens."""
    tokenizer = fitted.encoder.target
    if target is not None:
        given = tokenizer.encode(target)
        return target, given.spans, given.tokens
    assert answer is not None
    if tokenizer.kind == "bpe":
        text, spans = written_spans(tokenizer, written)
        return text, spans, [text[start:end] or "\N{REPLACEMENT CHARACTER}" for start, end in spans]
    tokens, spans, end = answer.tokens[: len(written)], [], 0
    for token in tokens:
        start = answer.text.index(token, end)
        end = start + len(token)
        spans.append((start, end))
    return answer.text, spans, tokens


def _rival_names(fitted: FittedTranslator, rivals: Sequence[int]) -> list[str]:
    """What would have been written instead; byte pairs with the space before them."""
    encoder = fitted.encoder
    return ["</s>" if rival == encoder.end else encoder.target.decode([rival]) for rival in rivals]


def _notes(fitted: FittedTranslator, whole: int, read: int, *, has_ledger: bool) -> list[str]:
    config, notes = fitted.config, []
    if read < whole:
        notes.append(note_of_cut_source(whole, read))
    if not has_ledger:
        notes.append("a plain RNN keeps no sum of what it wrote: there is what was read where, and no more")
        return notes
    if len(config.cells) > 1 or max(config.encoder_layers, config.decoder_layers) > 1:
        notes.append(
            "the ledger is the uppermost layer's; what it writes at a word may carry what the layers below "
            "took from other words"
        )
    if config.attention == "bahdanau":
        notes.append(
            "Bahdanau attention feeds the decoder: what it writes at a word also carries what attention read then"
        )
    return notes
