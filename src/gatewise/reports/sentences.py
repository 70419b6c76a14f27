"""What a layer's numbers say, in short sentences for a reader; every one is computed from the data beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.memory.time_constants import LEFT, RIGHT
from gatewise.reports.captions import count
from gatewise.reports.page import Floats, LayerView, Word
from gatewise.reports.view import printable

LONGEST_WORD = 24
"""Characters of a word that a sentence shows."""


def gate_sentences(view: LayerView, words: Sequence[Word], unit: str = "word") -> list[str]:
    """Two to four sentences on what the gates of a layer did, each with its most telling word and its count.

    A gate counts as open above 0.9 and as shut below 0.1. Where no unit gets there, the highest (or lowest) mean over
    the units is told.

    Args:
        words: the N words of the page; `view.positions` says which of them the layer read.
        unit: what a step is called: "step" in time, "word" or another part of a text.
    """
    say = _Teller(view, words, unit)
    if view.cell == "lstm":
        return [
            say.most_open("i", "the input gate"),
            say.all_the_way("f", "The forget gate"),
            say.most_shut("f", "the forget gate"),
            say.most_open("o", "the output gate", ", showing what was held there"),
        ]
    if "z" in view.gates:
        return [
            say.most_shut("z", "the update gate", ", letting new content in"),
            say.all_the_way("z", "The update gate"),
            say.most_shut("r", "the reset gate", ", making new content without the old"),
        ]
    return [
        f"A plain RNN has no gates: at every {unit} its whole state is computed anew, so it has no held and no push."
    ]


def held_sentence(words: Sequence[Word], unit: str = "word", what: str = "what is read") -> str | None:
    """The fewest words that wrote half of the memory that `held` is of; None where there is no such share."""
    held = np.array([word.held if word.held > 0 else 0.0 for word in words])  # nan is not above 0
    if not held.any():
        return None
    largest = np.argsort(-held, kind="stable")
    sums = np.cumsum(held[largest])
    few = min(int(np.searchsorted(sums, 0.5 * sums[-1])) + 1, len(largest))
    shown = [_named(words, int(at), unit) for at in largest[: min(few, 3)]]
    some = ", ".join(shown) if few <= 3 else f"most at {shown[0]}"
    return (
        f"{sums[few - 1] / sums[-1]:.0%} of {what} was written at {few} of {count(len(held), unit)}: {some}."
    )


def sum_text(terms: Sequence[tuple[str, float]], residual: float) -> str:
    """A page's sum in two lines: its terms, the last of which is what they come to, and what it leaves open."""
    *parts, (name, total) = terms
    shown = " ".join(f"{'-' if value < 0 else '+'} {abs(value):.4f} ({what})" for what, value in parts)
    return f"{shown.removeprefix('+ ')} = {total:.4f} ({name})\nresidual {residual:.1e}"


class _Teller:
    """Sentences on one layer."""

    def __init__(self, view: LayerView, words: Sequence[Word], unit: str) -> None:
        self.view, self.words, self.unit = view, words, unit
        self.units = view.memory.shape[1]

    def named(self, t: int) -> str:
        """Step t of the layer by its word."""
        return _named(self.words, int(self.view.positions[t]), self.unit)

    def most_open(self, gate: str, name: str, so: str = "") -> str:
        """Where most units were above 0.9."""
        values = self.view.gates[gate]
        return self._most(f"{name} opened", f"above {RIGHT:g}", so, values, values > RIGHT)

    def most_shut(self, gate: str, name: str, so: str = "") -> str:
        """Where most units were below 0.1."""
        values = self.view.gates[gate]
        return self._most(f"{name} closed", f"below {LEFT:g}", so, -values, values < LEFT)

    def _most(self, what: str, bound: str, so: str, strength: Floats, hits: NDArray[np.bool_]) -> str:
        counts, means = hits.sum(1), strength.mean(1, dtype=np.float64)
        t = int(np.lexsort((-means, -counts))[0])  # by count, then by mean, then the first
        place, alone = f"At {self.named(t)} {what}", len(counts) == 1
        if counts[t] == 0:
            end = "." if alone else f" at any {self.unit}."
            return f"{place} most, to {abs(means[t]):.2f} on average; no unit went {bound}{end}"
        end = "." if alone else f"; at no other {self.unit} in more."
        return f"{place} {bound} in {counts[t]} of {count(self.units, 'unit')}{so}{end}"

    def all_the_way(self, gate: str, name: str) -> str:
        """How many units kept their memory throughout, and how long such a memory lasts."""
        stood = (self.view.gates[gate] > RIGHT).all(0)
        number = int(stood.sum())
        who = ("a unit", "it", "they")[min(number, 2)]
        lives = self.view.half_lives[stood] if number else self.view.half_lives
        life = float(np.quantile(lives, 0.5, method="lower"))
        holds = f"{who} hold" + ("" if number > 1 else "s")
        if math.isinf(life):
            rest = f"what {holds} does not fade"
        else:
            gone = "is gone" if life <= len(self.view.positions) else "would be gone"
            median = " (median)" if len(lives) > 1 else ""
            rest = f"half of what {holds} {gone} after {_duration(life, self.unit)}{median}"
        where = f"{number} of {count(self.units, 'unit')}" if number else "no unit"
        return f"{name} stood above {RIGHT:g} in {where} all the way; {rest}."


def _named(words: Sequence[Word], at: int, unit: str) -> str:
    """A word in quotes, with its number where the same word stands at several places; a step by its name."""
    text = words[at].text
    if unit == "step":
        return f"{unit} {_short(text)}"
    again = sum(word.text == text for word in words) > 1
    return f"'{_short(text)}'" + (f" ({unit} {at + 1})" if again else "")


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= LONGEST_WORD else shown[: LONGEST_WORD - 1] + "…"


def _duration(steps: float, unit: str) -> str:
    if steps < 0.05:
        return f"less than 0.1 {unit}s"
    shown = f"{steps:.1f}" if steps < 9.95 else f"{steps:,.0f}"
    return f"{shown} {unit}" + ("" if shown == "1.0" else "s")
