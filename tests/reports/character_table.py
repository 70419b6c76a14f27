"""The characters as the tokenizers library sees them, and the file of the page that holds them.

    python tests/reports/character_table.py

writes `templates/page/live/characters.js` anew from the installed library. Browsers have Unicode tables of their own,
of several versions, so the page carries the library's.
"""

from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

from tokenizers import Regex, normalizers, pre_tokenizers

import gatewise

FILE = Path(gatewise.__file__).parent / "reports" / "templates" / "page" / "live" / "characters.js"
CLASSES = {"LETTERS": r"\p{L}", "MARKS": r"\p{M}", "NUMBERS": r"\p{N}", "BLANKS": r"\s"}
PLANES = [*range(0x40000), *range(0xE0000, 0xE1000)]
"""Code points that may be something; the other planes hold nothing, or are for private use."""
EVERY = [chr(code) for code in PLANES if not 0xD800 <= code < 0xE000]
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
TEMPLATE = """\
// Which characters are letters, marks, numbers and blanks, and how capitals are written small, as tokenizers {version}
// has it: browsers have tables of other versions. Written by tests/reports/character_table.py.

// Numbers in base 36: how many characters lie between, and how many follow that are of the kind.
{classes}
// How many characters lie between, how many capitals follow, how far apart they are, and how far away the small one is.
const CAPITALS = `
{capitals}
`;
"""


def ranges(pattern: str) -> list[tuple[int, int]]:
    """First and last code point of every run of characters of a class."""
    cut = pre_tokenizers.Split(Regex(f"{pattern}+"), "removed", invert=True)
    found = []
    for _, (start, end) in cut.pre_tokenize_str("".join(EVERY)):
        codes = [ord(character) for character in EVERY[start:end]]
        gaps = [0, *(k for k, (a, b) in enumerate(pairwise(codes), 1) if b > a + 1), len(codes)]
        found += [(codes[a], codes[b - 1]) for a, b in pairwise(gaps)]
    return found


def small_letters() -> dict[int, str]:
    """What becomes of every character that lower-casing changes."""
    candidates = [character for character in EVERY if character != "\n"]
    small = normalizers.Lowercase().normalize_str("\n".join(candidates)).split("\n")
    return {ord(old): new for old, new in zip(candidates, small, strict=True) if old != new}


def base_36(number: int) -> str:
    sign, number, digits = "-" * (number < 0), abs(number), ""
    while True:
        number, rest = divmod(number, 36)
        digits = DIGITS[rest] + digits
        if not number:
            return sign + digits


def _runs(pattern: str) -> list[int]:
    found, end = [], 0
    for first, last in ranges(pattern):
        found += [first - end, last + 1 - first]
        end = last + 1
    return found


def _capitals() -> list[int]:
    """Of every run: what lies before it, its length, the step within it, and the way to the small letters."""
    single = {code: ord(small) - code for code, small in small_letters().items() if len(small) == 1}
    codes, found, end, at = sorted(single), [], 0, 0
    while at < len(codes):
        step = 1 if at + 1 < len(codes) and codes[at + 1] - codes[at] == 1 else 2
        length = 1
        while (
            at + length < len(codes)
            and codes[at + length] - codes[at + length - 1] == step
            and single[codes[at + length]] == single[codes[at]]
        ):
            length += 1
        found += [codes[at] - end, length, step, single[codes[at]]]
        end = codes[at + length - 1] + 1
        at += length
    return found


def _text(numbers: list[int]) -> str:
    return "\n".join(wrap(" ".join(map(base_36, numbers)), 118))


def script() -> str:
    """The file as it is to be."""
    classes = "\n".join(f"const {name} = `\n{_text(_runs(pattern))}\n`;" for name, pattern in CLASSES.items())
    return TEMPLATE.format(version=version("tokenizers"), classes=classes, capitals=_text(_capitals()))


if __name__ == "__main__":
    FILE.write_text(script(), encoding="utf-8")
