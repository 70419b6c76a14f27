"""The page of an explained translation: tokens joined to words, and each margin as a short sum."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from gatewise.reports.page import Word
from gatewise.reports.written import Written, WrittenStep
from gatewise.tasks.translate.explanation import Step, TranslationExplanation

BEGINNING = "(beginning)"
END = "(end)"
BLANK = "␣"


def page_of(told: TranslationExplanation) -> Written:
    """The page as values."""
    columns = [text for text, _ in source_words(told)]
    return Written(
        source=told.source,
        target=told.target,
        given=told.given,
        log_probability=told.log_probability,
        complete=told.complete,
        found=[(one.text, one.log_probability, one.score) for one in told.candidates],
        columns=columns,
        rows=[text for text, _ in written_words(told, told.words)],
        attention=[
            [
                sum(told.steps[t].attention[s] for t in word for s in read) / len(word)
                for read in told.source_words
            ]
            for word in told.words
        ],
        steps=[_step(told, t) for t in range(len(told.steps))],
        has_ledger=told.has_ledger,
        notes=told.notes,
        command=told.command,
        version=version("gatewise"),
    )


def source_words(told: TranslationExplanation) -> list[tuple[str, str]]:
    """The words that were read, each with what stands before it."""
    return _words(told.source, told.source_spans, told.source_words)


def written_words(told: TranslationExplanation, words: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """Words that were written, each with what stands before it."""
    found = _words(told.target, told.spans, words)
    last = len(told.tokens) - 1
    return [
        (END, " ") if told.complete and word[0] == last else one
        for word, one in zip(words, found, strict=True)
    ]


def before(told: TranslationExplanation, t: int) -> list[list[int]]:
    """The tokens of each word, or of the part of a word, that was written before token t."""
    parts = [[k for k in word if k < t] for word in told.words]
    return [part for part in parts if part]


def names(step: Step) -> tuple[str, str]:
    """What a token and its rival are called; two that differ in the space before them are told by an ellipsis."""
    token, rival = step.token.strip() or BLANK, step.rival.strip() or BLANK
    if token == rival:
        rival = f"…{rival}"
    return (END if token == "</s>" else token), (END if rival == "</s>" else rival)


def sums(values: Sequence[float], groups: Sequence[Sequence[int]]) -> list[float]:
    """The sum over each group of places; NaN for all where there are no values."""
    return [sum(values[k] for k in group) if values else float("nan") for group in groups]


def earlier_of(told: TranslationExplanation, t: int) -> list[Word]:
    """The beginning and the words before token t, with their held and push."""
    step, groups = told.steps[t], before(told, t)
    # The first place is the beginning's; token k is read by step k + 1.
    places = [[0], *([k + 1 for k in group] for group in groups)]
    texts = [
        (BEGINNING, ""),
        *((text, space or " " * (k == 0)) for k, (text, space) in enumerate(written_words(told, groups))),
    ]
    return _with_numbers(texts, sums(step.earlier_held, places), sums(step.earlier_push, places))


def source_of(told: TranslationExplanation, t: int) -> list[Word]:
    """The words that were read, with their held and push at token t; of a plain RNN what was read at their places."""
    step = told.steps[t]
    pushes = [a + b for a, b in zip(step.source_push, step.start_push, strict=True)] or step.place_push
    held, push = sums(step.source_held, told.source_words), sums(pushes, told.source_words)
    return _with_numbers(source_words(told), held, push)


def _with_numbers(
    texts: Sequence[tuple[str, str]], held: Sequence[float], push: Sequence[float]
) -> list[Word]:
    return [Word(text, space, held=h, push=p) for (text, space), h, p in zip(texts, held, push, strict=True)]


def _step(told: TranslationExplanation, t: int) -> WrittenStep:
    step = told.steps[t]
    name, rival = names(step)
    return WrittenStep(
        piece=name if name == END else told.tokens[t].strip() or BLANK,
        new_word=any(word[0] == t for word in told.words),
        name=name,
        rival=rival,
        probability=step.probability,
        rival_probability=step.rival_probability,
        terms=terms(step),
        source=source_of(told, t),
        earlier=earlier_of(told, t) if told.has_ledger else [],
        looked=sums(step.attention, told.source_words),
        start_held=step.start_held,
        residual=step.residual,
    )


def terms(step: Step) -> list[tuple[str, float]]:
    """A margin as a sum, itself the last entry."""
    total = ("logit over its rival’s", step.margin)
    if not step.earlier_push:
        return [
            ("read by attention", sum(step.place_push)), ("the decoder’s state", step.state_push),
            ("bias", step.bias), total,
        ]  # fmt: skip
    return [
        ("the source, by attention", sum(step.source_push)),
        ("the source, by the first state", sum(step.start_push)),
        ("written before", sum(step.earlier_push)),
        ("biases", step.bias),
        total,
    ]


def _words(
    text: str, spans: Sequence[tuple[int, int]], words: Sequence[Sequence[int]]
) -> list[tuple[str, str]]:
    found, end = [], 0
    for word in words:
        start, stop = spans[word[0]][0], max(spans[k][1] for k in word)
        shown = text[start:stop].lstrip()  # a blank can be a piece of its own
        start = stop - len(shown) if shown else start
        found.append((shown or (BLANK if stop > start else "\N{REPLACEMENT CHARACTER}"), text[end:start]))
        end = max(end, stop)
    return found
