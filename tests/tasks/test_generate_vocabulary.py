"""Vocabularies: written-out numbers, exact round trips, unknown tokens, files that are not theirs."""

import json

import pytest
import torch

from gatewise.errors import DataError, RunError, UsageError
from gatewise.tasks.generate.vocabulary import (
    check_variety,
    load_vocabulary,
    train_vocabulary,
)

TEXT = "Ein Hund, zwei Hunde;\n\tnaïve 🐕‍🦺  двойной\r\nEin Hund\n".encode()


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
@pytest.mark.parametrize("content", [TEXT, TEXT * 50, "\u2028x\x85y\x1cz ".encode()])
def test_texts_come_back_as_they_were(kind, content, tmp_path):
    vocabulary = train_vocabulary(content, kind, 300)
    ids = vocabulary.encode(content)
    assert ids.dtype == torch.int64 and ids.min() >= 0 and ids.max() < vocabulary.size
    assert (
        vocabulary.to_bytes(ids.tolist()) == content and vocabulary.decode(ids.tolist()) == content.decode()
    )
    assert vocabulary.count_unknown(ids) == 0
    vocabulary.save(tmp_path)
    again = load_vocabulary(tmp_path)
    assert again.kind == kind and again.size == vocabulary.size and torch.equal(again.encode(content), ids)


def test_characters_are_numbered_by_code_point_and_unseen_ones_are_unknown():
    vocabulary = train_vocabulary("cab🐕".encode(), "characters", 9)
    assert vocabulary.size == 5
    assert vocabulary.encode("abcd🐕\n".encode()).tolist() == [1, 2, 3, 0, 4, 0]
    assert vocabulary.decode([1, 0, 4]) == "a\ufffd🐕"
    assert vocabulary.count_unknown(vocabulary.encode(b"xay")) == 2


def test_words_are_numbered_by_frequency_and_lines_end():
    vocabulary = train_vocabulary(b"b a b\nc  a b\n", "words", 10)
    assert vocabulary.words == ["<unk>", "<eos>", "b", "a", "c"]
    assert vocabulary.encode(b"a b\nd c\n").tolist() == [3, 2, 1, 0, 4, 1]
    assert vocabulary.encode(b"\na b\nd c").tolist() == [1, 3, 2, 1, 0, 4]
    assert vocabulary.decode([3, 2, 1, 0, 4, 1]) == "a b\n<unk> c\n"


def test_a_text_may_bring_its_own_unknown_word():
    """As Penn Treebank does: it is the one that stands for words out of the vocabulary."""
    vocabulary = train_vocabulary(b"a <unk> a\n", "words", 10)
    assert vocabulary.words == ["<unk>", "<eos>", "a"] and vocabulary.encode(b"<unk> z").tolist() == [0, 0]


def test_rare_words_are_left_out():
    assert train_vocabulary(b"a b a b c d d d", "words", 4).words[2:] == ["d", "a"]
    assert train_vocabulary(b"a b a b c d d d", "words", 10, min_count=2).words[2:] == ["d", "a", "b"]


def test_byte_pairs_write_what_they_have_never_seen():
    vocabulary = train_vocabulary(b"aaaa bbbb " * 40, "bpe", 270)
    strange = "Ω≈ç\0\x7f🐈".encode()
    assert vocabulary.to_bytes(vocabulary.encode(strange).tolist()) == strange
    assert len(vocabulary.encode(b"aaaa bbbb ")) < 10


def test_a_text_of_one_token_is_refused():
    for kind, content, shown in (
        ("characters", b"aaaa", "'a'"),
        ("words", b"\n\n\n", r"'\\n'"),
        ("bytes", b"zz", "'z'"),
    ):
        vocabulary = train_vocabulary(content, kind, 9)
        with pytest.raises(
            DataError, match=rf"f.txt: \d tokens \({kind}\), all of them {shown}; two are needed"
        ):
            check_variety(vocabulary.encode(content), vocabulary, "f.txt")
    with pytest.raises(UsageError, match="tokens is 'syllables'; it must be characters, bytes, bpe or words"):
        train_vocabulary(b"ab", "syllables", 9)


@pytest.mark.parametrize(
    "value",
    [
        [], {}, {"kind": "runes"}, {"kind": "words", "tokens": "ab"}, {"kind": "words", "tokens": ["a", "b"]},
        {"kind": "characters", "tokens": ["b", "a"]}, {"kind": "characters", "tokens": ["ab"]},
        {"kind": "characters", "tokens": []}, {"kind": "words", "tokens": ["<unk>", "<eos>", "a", "a"]},
        {"kind": "characters", "tokens": [1, 2]}, {"kind": ["words"]},
    ],
)  # fmt: skip
def test_files_of_another_form_are_refused(value, tmp_path):
    (tmp_path / "vocabulary.json").write_text(json.dumps(value))
    with pytest.raises(RunError, match=r"vocabulary\.json: "):
        load_vocabulary(tmp_path)
