"""Signals that a text itself gives at each character: where in its line it is, inside what it stands.

All are taken after the character was read. Quotes and brackets are those of prose and of most programming languages;
`comment` and `string` are Python's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
OPENING, CLOSING = "([{", ")]}"
QUOTES = "\"'"
TAB = 8
"""Columns between stops of a tab, as Python counts them."""


def position_in_line(text: str) -> Signal:
    """Characters since the line began, this one included; 0 at a line end."""
    found, at = [], 0
    for one in text:
        at = 0 if one == "\n" else at + 1
        found.append(at)
    return np.array(found, np.float64)


def indentation(text: str) -> Signal:
    """Columns of blanks with which the line began; in them, those so far. A line end keeps the line's own."""
    found, columns, leading = [], 0, True
    after_end = False
    for one in text:
        if after_end:
            columns, leading, after_end = 0, True, False
        if one == "\n":
            after_end = True
        elif leading and one == "\t":
            columns += TAB - columns % TAB
        elif leading and one == " ":
            columns += 1
        else:
            leading = False
        found.append(columns)
    return np.array(found, np.float64)


def bracket_depth(text: str) -> Signal:
    """Brackets that are open, of any kind; never below 0."""
    found, depth = [], 0
    for one in text:
        depth = max(0, depth + (one in OPENING) - (one in CLOSING))
        found.append(depth)
    return np.array(found, np.float64)


def inside_quotes(text: str) -> Signal:
    """1 between double quotes, straight or typographic, the opening one included; an empty line ends them."""
    found, inside, before = [], False, ""
    for one in text:
        if one == '"':
            inside = not inside
        elif one in "“”":
            inside = one == "“"
        elif one == before == "\n":
            inside = False
        found.append(inside)
        before = one
    return np.array(found, np.float64)


def position_in_word(text: str) -> Signal:
    """Letters and digits since the word began, this one included; 0 outside of words."""
    found, at = [], 0
    for one in text:
        at = at + 1 if one.isalnum() or one == "_" else 0
        found.append(at)
    return np.array(found, np.float64)


def python_string(text: str) -> Signal:
    """1 inside a string of Python, its opening quote included, its last closing one not."""
    return (_python_states(text) == "s").astype(np.float64)


def python_comment(text: str) -> Signal:
    """1 inside a comment of Python, from its # to before the line end."""
    return (_python_states(text) == "c").astype(np.float64)


def _python_states(text: str) -> NDArray[np.str_]:
    """For each character s in a string, c in a comment, and a blank elsewhere."""
    found = [" "] * len(text)
    at = 0
    while at < len(text):
        if text[at] == "#":
            end = _or_end(text, text.find("\n", at))
            found[at:end] = "c" * (end - at)
        elif text[at] in QUOTES:
            end = _string_end(text, at)
            found[at : end - 1] = "s" * (end - 1 - at)
        else:
            end = at + 1
        at = end
    return np.array(found)


def _string_end(text: str, start: int) -> int:
    """Behind the string that begins at `start`: behind its last quote, or where the line or the text ends it.

    One more than the last character that is inside, so that the end of a text that never closes it lies beyond.
    """
    quote = text[start : start + 3] if text[start : start + 3] == text[start] * 3 else text[start]
    at = start + len(quote)
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(quote, at):
            return at + len(quote)
        elif text[at] == "\n" and len(quote) == 1:
            return at + 1
        else:
            at += 1
    return len(text) + 1


def _or_end(text: str, place: int) -> int:
    return len(text) if place < 0 else place


SIGNALS: dict[str, Callable[[str], Signal]] = {
    "position in line": position_in_line,
    "indentation": indentation,
    "bracket depth": bracket_depth,
    "inside quotes": inside_quotes,
    "position in word": position_in_word,
    "Python string": python_string,
    "Python comment": python_comment,
}
"""By name; each gives a value for every character of a text."""


def at_tokens(signal: Signal, text: str, contents: Sequence[bytes]) -> Signal:
    """A signal at tokens: the value at the last character that each completes; [N].

    Args:
        contents: what each token stands for; joined they are `text` in UTF-8.
    """
    ends = np.cumsum([len(content) for content in contents])  # bytes read after each token
    widths = np.cumsum([len(one.encode("utf-8", "surrogateescape")) for one in text])
    places = np.searchsorted(widths, ends, side="right") - 1
    return signal[places.clip(min=0)]
