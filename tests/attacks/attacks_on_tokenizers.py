"""Tokenizer files from a stranger."""

import json
from pathlib import Path
from typing import Any

from attack import Attack
from attack_files import as_file, linked, sparse

from gatewise.data.tokenizer import Tokenizer
from gatewise.errors import RunError

WORDS = {"<pad>": 0, "<unk>": 1, "a": 2}


def _model(**model: Any) -> str:
    return json.dumps({"model": {"type": "WordLevel", "vocab": WORDS} | model})


def _tokenizer(name: str, content: str, says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, as_file("tokenizer.json", content), Tokenizer.load, RunError, says)


def _ours(path: Path) -> None:
    """However the file says that texts are to be cut, ours are cut in our way."""
    assert Tokenizer.load(path).encode("a" * 5000 + "! a").ids == [1, 1, 2]


REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": False}

ON_TOKENIZERS = [
    Attack(
        "tokenizer with a regex bomb",
        "A pattern that takes 2^n steps, in the file's own rule for cutting.",
        "Runs it on every text.",
        as_file(
            "tokenizer.json",
            json.dumps(
                {
                    "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "<unk>"},
                    "pre_tokenizer": REGEX,
                    "normalizer": {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""},
                }
            ),
        ),
        _ours,
        None,
    ),
    Attack(
        "tokenizer of 10 GB",
        "A sparse file.",
        "Reads it whole.",
        sparse("tokenizer.json", 10 << 30),
        Tokenizer.load,
        RunError,
        "at most belong there",
    ),
    Attack(
        "tokenizer on an endless device",
        "A link to /dev/zero, whose size is 0.",
        "Reads for ever.",
        linked("tokenizer.json", "/dev/zero"),
        Tokenizer.load,
        RunError,
        "not a regular file",
    ),
    _tokenizer(
        "tokenizer nested deeply",
        "[" * 100_000,
        "nested too deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
    ),
    _tokenizer(
        "vocabulary with huge numbers",
        _model(vocab=WORDS | {"b": 2**62}),
        "does not number its tokens",
        "A token of the number 2^62.",
        "An embedding of 2^62 rows.",
    ),
    _tokenizer(
        "vocabulary of 300,000 tokens of one number",
        _model(vocab=WORDS | {f"w{k}": 2 for k in range(300_000)}),
        "does not number its tokens",
        "Many words that are the same to the model.",
        "Answers for the wrong word.",
    ),
    _tokenizer(
        "vocabulary with a negative number",
        _model(vocab=WORDS | {"b": -1}),
        "does not number its tokens",
        "A token before the first.",
        "The last row of the embedding.",
    ),
    _tokenizer(
        "vocabulary of texts and numbers",
        _model(vocab=WORDS | {"b": "3"}),
        "not a tokenizer",
        "A number as text.",
        "TypeError when they are sorted.",
    ),
    _tokenizer(
        "vocabulary without padding",
        _model(vocab={"a": 0, "b": 1}),
        "does not number its tokens",
        "Its padding is a word.",
        "Every short text holds that word.",
    ),
    _tokenizer(
        "merges that run in a circle",
        _model(type="BPE", merges=[["a", "b"], ["ab", "a"], ["b", "ab"]]),
        "not a tokenizer",
        "Pairs that are made of each other and of nothing.",
        "Merges for ever, or panics.",
    ),
    _tokenizer(
        "merges of what is no token",
        _model(type="BPE", merges=[["x", "y"]]),
        "not a tokenizer",
        "A pair that the vocabulary lacks.",
        "A bare Exception of the library.",
    ),
    _tokenizer(
        "merges of lists",
        _model(type="BPE", merges=[[["a"], {}], 3]),
        "not a tokenizer",
        "No pairs of texts.",
        "TypeError.",
    ),
    _tokenizer(
        "tokenizer of another kind",
        _model(type="Unigram"),
        "not a tokenizer",
        "A kind that is not ours.",
        "KeyError.",
    ),
    _tokenizer(
        "tokenizer with half of a surrogate pair",
        _model(vocab=WORDS | {"\ud800": 3}),
        "surrogate pair",
        "A token that no text can hold.",
        "A UnicodeEncodeError from Rust.",
    ),
]
