"""What every report of an explanation shows, as rows and sentences; the reports differ only in how they draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from gatewise.reports.captions import count, kept_share, why_it_fails
from gatewise.reports.page import Check
from gatewise.shown import printable as printable

SHOWN_GATES = ("i", "f", "o", "r", "z")
"""Gates between 0 and 1; g and n are contents, not gates."""

GATE_NAMES = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}

SUFFICES = 0.9
"""An answer with this share of its probability left still stands."""
NAMED = 12
"""Most kept words that are listed by name."""
NAN = float("nan")


class Explained(Protocol):
    """What a report needs to know of an explained text; N words.

    Args:
        words: the words, as in the text. spans: start and end of each in it, or none at all for numbers.
        held: share of the read memory that each wrote, 0 to 1; nan where there is no such share; empty for a plain RNN.
        push: how far each moved the score; empty for a plain RNN.
        unknown, cut: per word, whether the model has no embedding for it, and whether it was not read at all.
        gates: per gate, the mean over its units at each word, 0 to 1.
        label, probability: the label that is explained; `predicted` the answer; `probabilities` of all labels.
        score: the label's logit minus the mean of the others (for two labels the log odds), to which the pushes
            add up: `sum(push) + initial + bias + residual = score`; initial and residual None without pushes.
        kept: places of the words that alone keep the answer. check: whether that holds up; None where not tested.
        bare: the label's probability without any word, or None.
        occlusion: how far the score falls without each word, or empty.
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
    def initial(self) -> float | None: ...
    @property
    def residual(self) -> float | None: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def kept(self) -> Sequence[int]: ...
    @property
    def check(self) -> Check | None: ...
    @property
    def bare(self) -> float | None: ...
    @property
    def occlusion(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class WordRow:
    """One word of an explanation; held, push and occlusion are nan where there is none.

    Args:
        shade: held against the largest held, 0 to 1. strength: |push| against the largest |push|, 0 to 1.
        gates: mean of each shown gate at this word; empty where the word was cut.
        space: what stands between the word before and this one: a blank or nothing.
    """

    number: int
    word: str
    held: float
    push: float
    occlusion: float
    shade: float
    strength: float
    kept: bool
    unknown: bool
    cut: bool
    gates: dict[str, float]
    space: str


def shown_gates(explanation: Explained) -> list[str]:
    return [name for name in SHOWN_GATES if name in explanation.gates]


def word_rows(explanation: Explained) -> list[WordRow]:
    """The words of an explanation in their order."""
    none = [NAN] * len(explanation.words)
    helds, pushes = explanation.held or none, explanation.push or none
    most_held = max((held for held in helds if held > 0), default=1.0)
    most_push = max((abs(push) for push in pushes if abs(push) > 0), default=1.0)
    names, kept = shown_gates(explanation), set(explanation.kept)
    return [
        WordRow(
            number=at + 1,
            word=printable(word),
            held=helds[at],
            push=pushes[at],
            occlusion=(explanation.occlusion or none)[at],
            shade=max(helds[at], 0.0) / most_held,
            strength=abs(pushes[at]) / most_push,
            kept=at in kept,
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


def step_name(explanation: Explained) -> str:
    """What a step is called: only words have a place in a text."""
    return "word" if len(explanation.spans) == len(explanation.words) else "step"


def kept_sentence(explanation: Explained) -> str | None:
    """Which words alone keep the answer; None where that was not tested."""
    check, unit = explanation.check, step_name(explanation)
    if check is None:
        return None
    if check.kept == 0:
        return f"Spread out: no set of {unit}s that speak for {printable(explanation.label)} keeps it alone."
    sentence = kept_share(check, sum(not cut for cut in explanation.cut), unit)
    if check.spread_out:
        return f"{sentence}."
    names = [printable(explanation.words[at]) for at in explanation.kept]
    return f"{sentence}: {', '.join(names[:NAMED])}" + (", …" if len(names) > NAMED else ".")


def check_sentence(explanation: Explained) -> str | None:
    """The probability with the kept words alone, without them, and without as many others; None without such words."""
    check, unit = explanation.check, step_name(explanation)
    if check is None or check.kept == 0:
        return None
    parts = [f"these {unit}s only {check.only:.1%}", f"without them {check.without:.1%}"]
    if check.random:
        spread = f"{min(check.random):.1%} to {max(check.random):.1%} in {len(check.random)} draws"
        parts.append(f"without {count(check.kept, f'random {unit}')} {fmean(check.random):.1%} ({spread})")
    return f"Does it hold up? {', '.join(parts)}: {'it does' if check.holds else 'it does not'}."


def cautions(explanation: Explained) -> list[str]:
    """What a reader must know before trusting the numbers: what was not read, and what fails."""
    total, unit = len(explanation.words), step_name(explanation)
    cut, unknown = sum(explanation.cut), sum(explanation.unknown)
    found = []
    if not is_answer(explanation):
        found.append(
            f"the model's answer is {printable(explanation.predicted)}; this explains "
            f"{printable(explanation.label)}, which it did not choose"
        )
    if cut:
        found.append(f"{cut} of {total} {unit}s were cut away and not read")
    if unknown:
        pairs = zip(explanation.words, explanation.unknown, strict=True)
        which = list(dict.fromkeys(printable(word) for word, new in pairs if new))
        shown = ", ".join(which[:8]) + (", …" if len(which) > 8 else "")
        found.append(f"{unknown} of {total} {unit}s are unknown to the model: {shown}")
    found += _failed_checks(explanation, unit)
    return found


def _failed_checks(explanation: Explained, unit: str) -> list[str]:
    check, label = explanation.check, printable(explanation.label)
    if check is None or explanation.bare is None:
        return []
    found, whole = [], explanation.probability
    if is_answer(explanation) and explanation.bare >= SUFFICES * whole:
        found.append(
            f"with every {unit} left out the model still gives {label} {explanation.bare:.1%}: "
            f"this answer needs hardly any of its {unit}s"
        )
    elif check.holds and check.without >= SUFFICES * whole:
        found.append(
            f"without the kept {unit}s the model still gives {label} {check.without:.1%}: the others carry it as well"
        )
    if check.kept and not check.holds:
        found.append(
            f"{why_it_fails(check, unit)}, so what it kept is not to be read as the reason for the answer"
        )
    if not check.kept:
        found.append(f"no set of {unit}s that speak for {label} keeps it alone, so none was tested")
    return found


def model_notes(explanation: Explained) -> list[str]:
    """What the kind of model makes of the numbers: other layers, another direction, no sum."""
    return [printable(note) for note in explanation.notes]


def limits(unit: str, is_sum: bool) -> list[str]:
    """What no report of an explanation shows; `is_sum`: there are held and push, as there are not for a plain RNN."""
    of_sum = (
        f"Held and push belong to the {unit} at which the network wrote, with its gates as they were: "
        f"the gates themselves also depend on the {unit}s before."
    )
    return [
        *([of_sum] if is_sum else []),
        "The score stands before the calibration by a temperature, which the probability has gone through.",
        "This shows how this model came to its answer, not whether the answer is right.",
    ]


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
    """The terms of the score in their order, the score last; none where there are no pushes to add up."""
    if explanation.initial is None:
        return []
    meaning = "log odds" if len(explanation.probabilities) == 2 else "logit over the mean of the others"
    return [
        (f"pushes of all {step_name(explanation)}s", sum(explanation.push)),
        ("initial state", explanation.initial),
        ("bias", explanation.bias),
        (f"score: {meaning}", explanation.score),
    ]
