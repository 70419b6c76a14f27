"""Texts that may come from anywhere, as they are shown: they move no cursor and turn no direction of writing."""

import re
import unicodedata

MOST_CHARACTERS = 2000
"""Of a sentence; what it quotes can be longer."""
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Not shown themselves; Persian, Hindi and joined emoji are misspelt without them."""

_LINE_ENDS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")


def printable(text: str) -> str:
    """`text` without characters that would move a terminal's cursor or break a line."""
    return "".join(c if c.isprintable() or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(text: str) -> str:
    r"""A sentence on one line and of bounded length.

    Line ends become blanks; other characters that move a cursor, turn the direction of writing or are no text become
    their escapes (`\x1b`); of a long text the middle is left out.
    """
    text = _LINE_ENDS.sub(" ", text)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS - 500]} … {text[-400:]}"
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
