"""Texts of strangers in sentences: one line, no control, bounded, and everything that people write as it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.errors import DataError, GatewiseError, UsageTypeError
from gatewise.shown import MOST_CHARACTERS, one_line, printable


@pytest.mark.parametrize(
    "text",
    [
        "naïve café",
        "Ärger, 100 %",
        "می\u200cخواهم",
        "नमस्ते",
        "字",
        "👩\u200d👩",
        "a\u00a0b",
        "a\u3000b",
        "back\\slash",
        "",
    ],
)
def test_what_people_write_stays(text):
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\n\tc", "a b c"),
        ("a\u2028b\x85c", "a b c"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J\x7f\0", "\\x9b2J\\x7f\\x00"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_moves_a_cursor_or_turns_the_writing_is_escaped(text, shown):
    assert one_line(text) == shown


def test_a_long_sentence_loses_its_middle():
    text = "file.csv: " + "x" * 10**6 + " is wrong"
    assert one_line(text).startswith("file.csv: xxx") and one_line(text).endswith("xxx is wrong")
    assert len(one_line(text)) < MOST_CHARACTERS
    assert one_line("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS


@given(st.text(st.characters(codec=None)))
def test_no_text_at_all_gets_through_unharmed(text):
    for shown in (one_line(text), printable(text)):
        kinds = {unicodedata.category(c) for c in shown.replace("\u200c", "").replace("\u200d", "")}
        assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode()


def test_every_error_says_its_sentence_so():
    for kind in (GatewiseError, DataError, UsageTypeError):
        assert str(kind("a\n\x1b")) == "a \\x1b"
