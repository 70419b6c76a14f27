"""Tokens, spans and vocabularies of written-out texts; truncation; files that are no tokenizer."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import tokenizer as tokenizer_module
from gatewise.data.tokenizer import Tokenizer, kept_positions, truncate
from gatewise.errors import RunError, UsageError

CORPUS = [
    "Hardly a boring moment. Hardly!",
    "A boring film, a boring moment",
    "It's fun; it’s FUN. <br /><br />See it",
]

SAMPLE = ["a don't B 1.1 , ! <br /> é € 字 a1 ab", "a b. a' 1,1 !! .. </ <br/> \u0301a"]
LONG = {kind: Tokenizer.train(SAMPLE, kind, 400, 1) for kind in ("words", "bpe")}


@pytest.fixture(scope="module")
def words():
    return Tokenizer.train(CORPUS, vocab_size=100)


@pytest.fixture(scope="module")
def pairs():
    return Tokenizer.train(CORPUS, "bpe", vocab_size=270)


def test_words_are_numbered_by_frequency_and_then_by_the_alphabet(words):
    # a 3, boring 3; then twice each: . fun hardly it's moment
    assert words.vocabulary == ["<pad>", "<unk>", "a", "boring", ".", "fun", "hardly", "it's", "moment"]
    assert words.vocab_size == 9
    assert words.token_to_id("boring") == 3
    assert words.token_to_id("film") is None


def test_min_count_and_vocab_size_bound_the_vocabulary():
    assert Tokenizer.train(CORPUS, vocab_size=4).vocabulary == ["<pad>", "<unk>", "a", "boring"]
    everything = Tokenizer.train(CORPUS, vocab_size=100, min_count=1).vocabulary
    assert everything == [
        *["<pad>", "<unk>", "a", "boring", ".", "fun", "hardly", "it's", "moment"],
        *["!", ",", ";", "film", "it", "see"],
    ]


def test_tokens_stand_as_they_are_in_the_text_with_their_spans(words):
    text = "It’s HARDLY<br/>a <pad> film."
    encoded = words.encode(text)
    assert encoded.tokens == ["It’s", "HARDLY", "a", "<", "pad", ">", "film", "."]
    assert encoded.ids == [7, 6, 2, 1, 1, 1, 1, 4]
    assert encoded.unknown == [False, False, False, True, True, True, True, False]
    assert encoded.spans == [(0, 4), (5, 11), (16, 17), (18, 19), (19, 22), (22, 23), (24, 28), (28, 29)]
    assert len(encoded) == 8


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("don't 'quoted' rock'n'roll dogs'", ["don't", "'", "quoted", "'", "rock'n'roll", "dogs", "'"]),
        (
            "3.5 of 10/10, 1,000 in the 80s.",
            ["3.5", "of", "10", "/", "10", ",", "1,000", "in", "the", "80s", "."],
        ),
        ("well-made... good\tbad\n", ["well", "-", "made", ".", ".", ".", "good", "bad"]),
        ("İzmir naïve cafe\u0301 Straße", ["İzmir", "naïve", "cafe\u0301", "Straße"]),
        ("fun😀!", ["fun", "😀", "!"]),
        ("<br /> <BR> <br/><b>", ["<", "b", ">"]),
        ("<script>alert(1)</script>", ["<", "script", ">", "alert", "(", "1", ")", "<", "/", "script", ">"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words_numbers_and_single_marks(words, text, tokens):
    encoded = words.encode(text)
    assert encoded.tokens == tokens
    assert [text[start:end] for start, end in encoded.spans] == tokens


def test_byte_pairs_keep_case_and_every_byte(pairs):
    text = "A boring Äffchen 😀\n\nfun <pad>"
    encoded = pairs.encode(text)
    letters = bytes_of_byte_level_alphabet()
    spelled = b"".join(bytes(letters[c] for c in pairs.vocabulary[number]) for number in encoded.ids)
    assert spelled.decode() == text
    assert not any(encoded.unknown)
    assert 0 not in encoded.ids
    assert pairs.encode("fun").ids != pairs.encode("FUN").ids


def test_the_most_frequent_pair_is_merged_first():
    # "ab" 4 times, then "abab" twice; the 256 bytes and two special tokens come first
    assert Tokenizer.train(["abab", "abab"], "bpe", vocab_size=260).vocabulary[258:] == ["ab", "abab"]


def test_spans_of_byte_pairs_leave_out_the_space_before_a_word_and_repeat_for_parts_of_a_character():
    tokenizer = Tokenizer.train(["x y x y x y"], "bpe", vocab_size=260)
    encoded = tokenizer.encode("x y  é")
    assert encoded.tokens == ["x", "y", " ", " ", "é", "é"]
    assert encoded.spans == [(0, 1), (2, 3), (3, 4), (4, 5), (5, 6), (5, 6)]


def bytes_of_byte_level_alphabet():
    """The bytes as letters: printable Latin-1 stands for itself, the others follow from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_the_fast_way_gives_the_same_numbers(kind):
    tokenizer = Tokenizer.train(CORPUS, kind, vocab_size=300)
    texts = CORPUS * 400 + [""]
    fast = tokenizer.encode_ids(texts)
    assert [one.tolist() for one in fast] == [one.ids for one in tokenizer.encode_batch(texts)]
    assert {one.dtype for one in fast} == {np.dtype(np.int32)}


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_a_saved_tokenizer_is_the_same_and_training_is_deterministic(tmp_path, kind):
    tokenizer = Tokenizer.train(CORPUS, kind, vocab_size=300)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.kind, loaded.vocabulary) == (kind, tokenizer.vocabulary)
    assert loaded.encode_batch(CORPUS) == tokenizer.encode_batch(CORPUS)
    loaded.save(tmp_path / "again.json")
    code = (
        "import sys; from gatewise.data.tokenizer import Tokenizer; "
        "Tokenizer.train(sys.argv[3:], sys.argv[2], vocab_size=300).save(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "other.json", kind, *CORPUS], check=True)
    written = (tmp_path / "tokenizer.json").read_bytes()
    assert written == (tmp_path / "again.json").read_bytes() == (tmp_path / "other.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "chars"}, "there is no tokenizer 'chars'; there are words and bpe"),
        ({"vocab_size": 2}, "vocab_size is 2; a tokenizer of words needs 3 at least"),
        ({"kind": "bpe", "vocab_size": 257}, "vocab_size is 257; a tokenizer of bpe needs 258 at least"),
        ({"min_count": 0}, "min_count is 0; it must be 1 at least"),
    ],
)
def test_options_out_of_bounds(options, sentence):
    with pytest.raises(UsageError) as caught:
        Tokenizer.train(CORPUS, **options)
    assert str(caught.value) == sentence


def model(**changes):
    return json.dumps({"model": {"type": "WordLevel", "vocab": {"<pad>": 0, "<unk>": 1, "a": 2}} | changes})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        b"\xff\xfe",
        "[" * 100_000,
        model(type="Unigram"),
        model(type=[]),
        model(vocab=None),
        model(vocab=[]),
        model(vocab={}),
        model(vocab={"a": 0, "b": 1}),
        model(vocab={"<pad>": 1, "<unk>": 0}),
        model(vocab={"<pad>": 0, "<unk>": 1, "a": 1}),
        model(vocab={"<pad>": 0, "<unk>": 1, "a": 3}),
        model(vocab={"<pad>": 0, "<unk>": 1, "a": -1}),
        model(vocab={"<pad>": 0, "<unk>": 1, "a": "2"}),
        model(vocab={"<pad>": 0, "<unk>": 1, "a": 2.0}),
        model(vocab={"<pad>": False, "<unk>": True}),
        model(type="BPE"),
        model(type="BPE", merges=[["a"]]),
        model(type="BPE", merges=[["a", "b"]]),
        model(type="BPE", merges=7),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunError) as caught:
        Tokenizer.load(path)
    faults = ("not a tokenizer written by gatewise (", "not JSON", "not UTF-8")
    assert str(caught.value).startswith(tuple(f"{path}: {fault}" for fault in faults))


@given(
    st.lists(
        st.sampled_from(
            [
                " ",
                "  ",
                "\n",
                "a",
                "don't",
                "B",
                "1",
                ".",
                ",",
                "!",
                "<br />",
                "<br",
                "/>",
                "é",
                "\u0301",
                "€",
                "字",
                "'",
            ]
        ),
        max_size=60,
    ).map("".join),
    st.integers(1, 12),
)
def test_a_long_text_has_the_same_tokens_in_parts(text, characters):
    for kind in ("words", "bpe"):
        whole = LONG[kind].encode(text).ids
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokenizer_module, "_CHARACTERS", characters)
            (ids,) = LONG[kind].encode_ids([text])
        assert ids.tolist() == whole


def test_a_missing_file_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match=r"tokenizer\.json: there is no such file"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_only_the_vocabulary_is_taken_from_a_file(tmp_path):
    """A file cannot bring a pattern, a special token or a rule of its own."""
    path = tmp_path / "tokenizer.json"
    content = json.loads(model())
    content["added_tokens"] = [{"id": 0, "content": "a", "special": True}]
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}
    path.write_text(json.dumps(content))
    assert Tokenizer.load(path).encode("A b").ids == [2, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("grandchild", [False, True], ids=["child", "of a process started by another"])
def test_a_fork_after_use_neither_warns_nor_hangs(grandchild):
    code = (
        "import os; from gatewise.data.tokenizer import Tokenizer\n"
        "t = Tokenizer.train(['a b'] * 50, min_count=1); t.encode_ids(['a b'] * 5000)\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(len(t.encode_ids(['a b'] * 5000)[0]))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    if grandchild:  # which must not take what its parent has set for a user's choice
        code = (
            "import subprocess, sys; import gatewise.data.tokenizer\n"
            f"sys.exit(subprocess.call([sys.executable, '-W', 'ignore', '-c', {code!r}]))"
        )
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.parametrize(
    ("n", "length", "where", "positions"),
    [
        (10, 4, "head", [0, 1, 2, 3]),
        (10, 4, "tail", [6, 7, 8, 9]),
        (10, 6, "middle", [0, 1, 6, 7, 8, 9]),
        (10, 4, "middle", [0, 7, 8, 9]),
        (10, 1, "middle", [9]),
        (10, 2, "middle", [8, 9]),
        (3, 3, "tail", [0, 1, 2]),
        (0, 5, "middle", []),
    ],
)
def test_kept_positions(n, length, where, positions):
    assert kept_positions(n, length, where).tolist() == positions


@given(st.integers(0, 50), st.integers(1, 60), st.sampled_from(["head", "tail", "middle"]))
def test_truncation_keeps_rising_positions_and_cuts_once(n, length, where):
    kept = kept_positions(n, length, where)
    assert len(kept) == min(n, length)
    assert np.all(np.diff(kept) >= 1)
    assert (np.diff(kept) > 1).sum() <= 1
    assert set(kept.tolist()) <= set(range(n))
    assert truncate(np.arange(n) * 7, length, where).tolist() == (kept * 7).tolist()


def test_the_same_cut_applies_to_tokens_and_spans(words):
    encoded = words.encode("a fun boring hardly moment .").take(kept_positions(6, 3, "middle"))
    assert encoded.tokens == ["a", "moment", "."]
    assert encoded.ids == [2, 8, 4]
    assert encoded.spans == [(0, 1), (20, 26), (27, 28)]
    assert encoded.unknown == [False, False, False]


def test_a_cut_that_is_none_is_refused():
    with pytest.raises(UsageError, match="max_length is 0; it must be 1 at least"):
        kept_positions(5, 0, "head")
    with pytest.raises(
        UsageError, match="a text cannot be cut at 'start'; it keeps its head, its tail, or head"
    ):
        kept_positions(5, 2, "start")
