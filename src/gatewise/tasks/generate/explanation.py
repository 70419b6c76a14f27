"""Why a language model expects what it expects: what it still holds of a text, and how far each token pushed.

The margin is the logit of the explained token minus that of its strongest rival. It is linear in the top layer's last
hidden state, so `Σ push + initial + bias = margin`, up to rounding. Held and push belong to the step that wrote; in a
second layer a write also carries what came before it. A plain RNN keeps no such sum, and has neither.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, held, push_ledger, record
from gatewise.tasks.generate.writing import never_written, read_text

if TYPE_CHECKING:
    from gatewise.reports.page import Page
    from gatewise.tasks.generate.fitted import FittedLanguageModel

MOST_TOKENS = 1000
"""Of an explained text: a page of T tokens has T² numbers."""
CANDIDATES = 10


class Candidate(NamedTuple):
    """A token that may come next, and how probable it is."""

    token: str
    probability: float


@dataclass(frozen=True)
class TextExplanation:
    """What a language model expects after a text, taken apart; T tokens.

    Args:
        text: what was read. tokens: it in tokens. unit: "character", "byte", "token" or "word".
        target: the explained token; rival: the most probable other one.
        probability: of the target among all that can be written; rival_probability: of the rival.
        candidates: the most probable tokens.
        margin: the target's logit minus the rival's, the logarithm of the ratio of their probabilities.
        held: each token's share of the top layer's memory at the end; held_by_layer: the same of every layer, the
            bottom one first. With the initial state's part left out they sum to 1. Empty for a plain RNN, like push.
        push: how far what each token wrote into the top layer moved the margin.
        initial: what the initial state pushed. bias: the output's.
        residual: margin - (Σ push + initial + bias): rounding; None for a plain RNN.
        notes: what a reader must know.
    """

    text: str
    tokens: list[str]
    unit: str
    target: str
    rival: str
    probability: float
    rival_probability: float
    candidates: list[Candidate]
    margin: float
    held: list[float]
    held_by_layer: list[list[float]]
    push: list[float]
    initial: float
    bias: float
    residual: float | None
    notes: list[str]
    layers: list[LayerTrace] = field(repr=False, compare=False)
    facts: list[tuple[str, str]] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the layers as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("layers", "facts")}
        return values | {"candidates": [one._asdict() for one in self.candidates]}

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def page(self) -> Page:
        """Everything that a page shows of it, as values."""
        from gatewise.tasks.generate.page import page_of  # it knows this class

        return page_of(self)

    def to_html(self) -> str:
        """One self-contained HTML page."""
        from gatewise.reports.html import render  # the drawing of pages is loaded when one is asked for

        return render(self.page())


@torch.no_grad()
def explain_text(
    fitted: FittedLanguageModel,
    text: str,
    *,
    at: int | None = None,
    target: str | None = None,
    command: str = "",
) -> TextExplanation:
    """Explain what is expected at one place of a text.

    Args:
        at: explain token number `at` of the text, from 2: why it was expected, or was not. None: what comes after the
            whole text.
        target: the token to be explained; None: with `at` the text's own, else the most probable one.
        command: noted on the page as the command that made it.

    Raises:
        UsageError: no token, or more than `MOST_TOKENS`; a place that the text does not have; a target that is not one
            token; characters that the vocabulary lacks.
    """
    vocabulary, network = fitted.vocabulary, fitted.network.train(False)
    read = read_text(vocabulary, text, "text")
    ids, notes = read.tokens, list(read.notes)
    unit = {"characters": "character", "bytes": "byte", "words": "word"}.get(vocabulary.kind, "token")
    if at is not None and not 2 <= at <= len(ids):
        raise UsageError(
            f"at is {at}; the text has {len(ids):,} {unit}s, and what is read before goes from 2 on"
        )
    own = None if at is None else int(ids[at - 1])
    ids = ids if at is None else ids[: at - 1]
    if not 1 <= len(ids) <= MOST_TOKENS:
        raise UsageError(f"the text has {len(ids):,} {unit}s; an explanation takes 1 to {MOST_TOKENS:,}")
    with record(network.recurrent) as trace:
        h, _, _ = network.hidden(ids[:, None].to(network.embedding.device))
    weight, bias = network.decoder.double(), network.output_bias.double()
    logits = (bias + h[-1, 0].double() @ weight.t()).cpu()
    allowed = logits.index_fill(0, never_written(vocabulary), -torch.inf)
    chosen = own if target is None else _token_of(fitted, target)
    chosen = int(allowed.argmax()) if chosen is None else chosen
    rival = int(allowed.index_fill(0, torch.tensor([chosen]), -torch.inf).argmax())
    p = allowed.softmax(0)
    layers = trace.layers()
    margin, of_bias = float(logits[chosen] - logits[rival]), float(bias[chosen] - bias[rival])
    pushed, initial = _pushes(layers[-1], weight[chosen] - weight[rival])

    def name(token: int) -> str:
        return vocabulary.decode([token])

    best = p.topk(min(CANDIDATES, int((p > 0).sum())))
    if not layers[-1].gates:
        notes.append("a plain RNN mixes its whole memory at every step: it has neither held nor push")
    elif len(layers) > 1:
        notes.append(
            f"held and push are of the top layer of {len(layers)}; what it wrote at one {unit} can carry what the "
            "layers below had read before"
        )
    return TextExplanation(
        text=vocabulary.decode(ids.tolist()),
        tokens=[name(token) for token in ids.tolist()],
        unit=unit,
        target=name(chosen),
        rival=name(rival),
        probability=float(p[chosen]),
        rival_probability=float(p[rival]),
        candidates=[Candidate(name(int(k)), float(share)) for share, k in zip(*best, strict=True)],
        margin=margin,
        held=_held(layers[-1]),
        held_by_layer=[_held(lt) for lt in layers],
        push=pushed,
        initial=initial,
        bias=of_bias,
        residual=margin - (sum(pushed) + initial + of_bias) if pushed else None,
        notes=notes,
        layers=layers,
        facts=[("command", command)] * bool(command) + _facts(fitted),
    )


def _token_of(fitted: FittedLanguageModel, target: str) -> int:
    tokens = read_text(fitted.vocabulary, target, "target").tokens.tolist()
    if len(tokens) != 1:
        raise UsageError(
            f"the target {target!r} is {len(tokens)} tokens ({fitted.vocabulary.kind}); one is needed"
        )
    return tokens[0]


def _pushes(lt: LayerTrace, direction: Tensor) -> tuple[list[float], float]:
    """What each step of the top layer pushed, and the initial state; nothing for a plain RNN."""
    if not lt.gates:
        return [], 0.0
    found = push_ledger(lt, None, direction)
    return found.push[:, 0].double().cpu().tolist(), float(found.initial[0])


def _held(lt: LayerTrace) -> list[float]:
    return held(lt)[:, 0].double().cpu().tolist() if lt.gates else []


def _facts(fitted: FittedLanguageModel) -> list[tuple[str, str]]:
    config = asdict(fitted.config)
    names = ("cell", "tokens", "embedding_size", "seed")
    return [
        ("layers", " and ".join(f"{size} units" for size in fitted.config.sizes)),
        *((name.replace("_", " "), str(config[name])) for name in names),
    ]
