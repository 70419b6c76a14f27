"""Signals of a text, written out character by character."""

import numpy as np
import pytest

from gatewise.tasks.generate.signals import SIGNALS, at_tokens
from gatewise.tasks.generate.vocabulary import train_vocabulary


def written(signal, text):
    return "".join(str(int(value)) for value in SIGNALS[signal](text))


@pytest.mark.parametrize(
    ("signal", "text", "expected"),
    [
        ("position in line", "ab\n\nxyz\n", "12001230"),
        ("indentation", "if a:\n    b c\n  d\ne\n", "00000012344444122200"),
        ("indentation", "\n\n \n", "0011"),
        ("bracket depth", "f(a[1], {2})]x", "01122111221000"),
        ("bracket depth", "))((", "0012"),
        ("inside quotes", 'a "b" c "d\n\ne', "0011000011100"),
        ("inside quotes", "“a” b", "11000"),
        ("position in word", "ab, c_1 é", "120012301"),
        ("Python string", "a='b\\'c'+1", "0011111000"),
        ("Python string", 'x="a\nb"', "0011001"),
        ("Python string", '"""a"b\n"""#"', "111111111000"),
        ("Python string", "''a", "100"),
        ("Python string", "'ab", "111"),
        ("Python string", "'a\\", "111"),
        ("Python comment", "a # b\n'#' #", "00111000001"),
        ("Python comment", "'''#'''#", "00000001"),
    ],
)
def test_written_out(signal, text, expected):
    assert written(signal, text) == expected


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_text_has_a_value_for_each_character(signal):
    for text in ("", "\n", '"""', "'\\", "\t x", "a\u2028🐕\x00'"):
        assert SIGNALS[signal](text).shape == (len(text),)


def test_a_tab_goes_to_the_next_stop():
    assert SIGNALS["indentation"](" \tx").tolist() == [1, 8, 8]


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_tokens_have_the_value_of_the_last_character_they_complete(kind):
    text = "aé🐕(b ab ab ab(\n"
    vocabulary = train_vocabulary(text.encode() * 3, kind, 262)
    contents = [vocabulary.to_bytes([token]) for token in vocabulary.encode(text.encode()).tolist()]
    signal, read, expected = np.arange(len(text)) + 1.0, b"", []
    for content in contents:
        read += content
        expected.append(max(1, len(read.decode(errors="ignore"))))
    assert at_tokens(signal, text, contents).tolist() == expected
