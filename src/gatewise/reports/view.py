"""What every report of an explanation shows, as rows and sentences; the reports differ only in how they draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SHOWN_GATES = ("i", "f", "o", "r", "z")
"""Gates between 0 and 1; g and n are contents, not gates."""

GATE_NAMES = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}

LIMITS = (
    "Held and push belong to the word at which the network wrote, with its gates as they were: "
    "the gates themselves also depend on the words before.",
    "The score stands before the calibration by a temperature, which the probability has gone through.",
    "This shows how this model came to its answer, not whether the answer is right.",
)


class Explained(Protocol):
    """What a report needs to know of an explained text; N words.

    Args:
        words: the words, as in the text. spans: start and end of each in it, or none at all.
        held: share of the read memory that each wrote, 0 to 1; nan where there is no such share.
        push: how far each moved the score.
        unknown, cut: per word, whether the model has no embedding for it, and whether it was not read at all.
        gates: per gate, the mean over its units at each word, 0 to 1.
        label, probability: the label that is explained; `predicted` the answer; `probabilities` of all labels.
        score: the label's logit minus the mean of the others (for two labels the log odds), to which the pushes
            add up: `sum(push) + initial + bias + residual = score`.
    """

    @property
    def words(self) -> Sequence[str]: ...
    @property
    def spans(self) -> Sequence[tuple[int, int]]: ...
    @property
    def held(self) -> Sequence[float]: ...
    @property
    def push(self) -> Sequence[float]: ...
    @property
    def unknown(self) -> Sequence[bool]: ...
    @property
    def cut(self) -> Sequence[bool]: ...
    @property
    def gates(self) -> Mapping[str, Sequence[float]]: ...
    @property
    def text(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def predicted(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def probabilities(self) -> Mapping[str, float]: ...
    @property
    def score(self) -> float: ...
    @property
    def bias(self) -> float: ...
    @property
    def initial(self) -> float: ...
    @property
    def residual(self) -> float: ...
    @property
    def notes(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class WordRow:
    """One word of an explanation.

    Args:
        shade: held against the largest held, 0 to 1. strength: |push| against the largest |push|, 0 to 1.
        gates: mean of each shown gate at this word; empty where the word was cut.
        space: what stands between the word before and this one: a blank or nothing.
    """

    number: int
    word: str
    held: float
    push: float
    shade: float
    strength: float
    unknown: bool
    cut: bool
    gates: dict[str, float]
    space: str


def shown_gates(explanation: Explained) -> list[str]:
    return [name for name in SHOWN_GATES if name in explanation.gates]


def word_rows(explanation: Explained) -> list[WordRow]:
    """The words of an explanation in their order."""
    most_held = max((held for held in explanation.held if held > 0), default=1.0)
    most_push = max((abs(push) for push in explanation.push if push != 0), default=1.0)
    names = shown_gates(explanation)
    return [
        WordRow(
            number=at + 1,
            word=printable(word),
            held=explanation.held[at],
            push=explanation.push[at],
            shade=max(explanation.held[at], 0.0) / most_held,
            strength=abs(explanation.push[at]) / most_push,
            unknown=explanation.unknown[at],
            cut=explanation.cut[at],
            gates={} if explanation.cut[at] else {name: explanation.gates[name][at] for name in names},
            space=_space(explanation.spans, at),
        )
        for at, word in enumerate(explanation.words)
    ]


def _space(spans: Sequence[tuple[int, int]], at: int) -> str:
    if at == 0 or (spans and spans[at][0] <= spans[at - 1][1]):
        return ""
    return " "


def cautions(explanation: Explained) -> list[str]:
    """What a reader must know before trusting the numbers: unread and unknown words, and the model's own notes."""
    total = len(explanation.words)
    cut, unknown = sum(explanation.cut), sum(explanation.unknown)
    found = []
    if not is_answer(explanation):
        found.append(
            f"the model's answer is {printable(explanation.predicted)}; this explains "
            f"{printable(explanation.label)}, which it did not choose"
        )
    if cut:
        found.append(f"{cut} of {total} words were cut away and not read")
    if unknown:
        which = [printable(w) for w, new in zip(explanation.words, explanation.unknown, strict=True) if new]
        shown = ", ".join(dict.fromkeys(which[:8])) + (", …" if len(which) > 8 else "")
        found.append(f"{unknown} of {total} words are unknown to the model: {shown}")
    return found + [printable(note) for note in explanation.notes]


def answer(explanation: Explained) -> str:
    """The explained label with its probability."""
    return f"{printable(explanation.label)} ({explanation.probability:.1%})"


def is_answer(explanation: Explained) -> bool:
    """Whether the label that is explained is also the model's answer."""
    return explanation.label == explanation.predicted


def other_answers(explanation: Explained) -> str:
    """All probabilities, the highest first."""
    ranked = sorted(explanation.probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{printable(label)} {share:.1%}" for label, share in ranked)


def sum_terms(explanation: Explained) -> list[tuple[str, float]]:
    """The terms of the score in their order, the score last."""
    meaning = "log odds" if len(explanation.probabilities) == 2 else "logit over the mean of the others"
    return [
        ("pushes of all words", sum(explanation.push)),
        ("initial state", explanation.initial),
        ("bias", explanation.bias),
        (f"score: {meaning}", explanation.score),
    ]


def printable(text: str) -> str:
    """`text` without characters that would move a terminal's cursor or break a line."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)
