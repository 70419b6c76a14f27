"""Writing: token for token what ordinary calls of the layers give, whole characters, prompts of every kind."""

import pytest
import torch
from language_cases import WrittenOut, language_model, random_tokens

from gatewise.decoding.sampling import Sampling
from gatewise.errors import UsageError
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.vocabulary import train_vocabulary
from gatewise.tasks.generate.writing import WrittenText, never_written, pieces, read_prompt, write_tokens

NOTHING = torch.zeros(0, dtype=torch.int64)


def by_ordinary_calls(model, prompt, count, sampling, never, seed, rows=1):
    """Each token by reading everything before it again from a zero state; [count, rows]."""
    generator, ids = torch.Generator().manual_seed(seed), prompt[:, None].expand(-1, rows)
    for _ in range(count):
        with torch.no_grad():
            logits = model(ids)[0][-1] if len(ids) else model.output_bias.expand(rows, -1)
        p = sampling.probabilities(logits.index_fill(1, never, -torch.inf))
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator).t()])
    return ids[len(prompt) :]


@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "gru"}, {"cell": "rnn", "forget_bias": 0.0}, {"tie": True, "num_layers": 3}, {"weight_drop": 0.5}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("prompt", [NOTHING, random_tokens(1), random_tokens(9)], ids=len)
def test_token_for_token_what_ordinary_calls_give(options, prompt):
    model, never = language_model(vocabulary=12, **options), torch.tensor([0, 5])
    for sampling in (Sampling(), Sampling(1.5, 4, 0.9)):
        found = torch.stack([*write_tokens(model, prompt, 40, sampling, never=never, seed=3)])
        assert torch.equal(found, by_ordinary_calls(model, prompt, 40, sampling, never, seed=3))
        assert not {0, 5} & set(found.flatten().tolist()) and len(found.unique()) > 3


def test_the_likeliest_tokens_by_the_equations_written_out():
    model, prompt = language_model(), random_tokens(6)
    cell = WrittenOut(model)
    state = cell.zero()
    for token in prompt.tolist():
        logits, state = cell.read(token, state)
    expected = []
    for _ in range(25):
        expected.append(int(logits.argmax()))
        logits, state = cell.read(expected[-1], state)
    found = torch.cat([*write_tokens(model, prompt, 25, Sampling(0), never=NOTHING)]).tolist()
    assert found == expected


def test_a_long_prompt_in_several_calls(monkeypatch):
    model, prompt = language_model(), random_tokens(50)
    whole = torch.cat([*write_tokens(model, prompt, 20, Sampling(), never=NOTHING)])
    monkeypatch.setattr("gatewise.tasks.generate.writing.PROMPT_AT_ONCE", 7)
    assert torch.equal(whole, torch.cat([*write_tokens(model, prompt, 20, Sampling(), never=NOTHING)]))


def test_rows_side_by_side_each_go_on_from_the_prompt():
    model, prompt = language_model(), random_tokens(6)
    alike = torch.stack([*write_tokens(model, prompt, 20, Sampling(0), never=NOTHING, rows=3)])
    one = torch.cat([*write_tokens(model, prompt, 20, Sampling(0), never=NOTHING)])
    assert alike.shape == (20, 3) and torch.equal(alike, one[:, None].expand(20, 3))
    drawn = torch.stack([*write_tokens(model, prompt, 20, Sampling(), never=NOTHING, rows=3, seed=1)])
    assert torch.equal(drawn, by_ordinary_calls(model, prompt, 20, Sampling(), NOTHING, seed=1, rows=3))
    assert len({tuple(row) for row in drawn.t().tolist()}) == 3


def test_no_token_is_asked_for_before_it_is_needed():
    written = write_tokens(language_model(), random_tokens(3), 10**9, Sampling(), never=NOTHING)
    assert [int(next(written)) for _ in range(3)] == [
        int(token) for token in write_tokens(language_model(), random_tokens(3), 3, Sampling(), never=NOTHING)
    ]


@pytest.mark.parametrize("kind", ["bytes", "bpe", "characters"])
def test_a_character_comes_when_it_is_whole(kind):
    text = "naïve 🐕‍🦺 двойной\r\n\u2028€"
    vocabulary = train_vocabulary((text + "abc " * 9).encode(), kind, 262)
    tokens = vocabulary.encode(text.encode())
    found = list(pieces(vocabulary, iter(tokens[:, None]), ""))
    assert "".join(found) == text and "" not in found and "\ufffd" not in "".join(found)
    if kind == "characters":
        assert found == list(text)


def test_half_a_character_at_the_end_and_bytes_that_are_none():
    vocabulary = train_vocabulary(b"", "bytes", 0)
    written = WrittenText(vocabulary)
    assert [written.add(byte) for byte in b"\xe2\x82a\xff"] == ["", "", "\ufffda", "\ufffd"]
    assert written.add(0xE2) == "" and written.end() == "\ufffd" and WrittenText(vocabulary).end() == ""


def test_words_stand_apart_and_lines_end():
    vocabulary = train_vocabulary(b"a b c\nb a\n", "words", 10)
    ids = vocabulary.encode(b"a b\nc\n\nb")[:, None]
    assert "".join(pieces(vocabulary, iter(ids), "")) == "a b\nc\n\nb"
    assert "".join(pieces(vocabulary, iter(ids), "c")) == " a b\nc\n\nb"
    assert "".join(pieces(vocabulary, iter(ids), "c ")) == "".join(pieces(vocabulary, iter(ids), "c\n"))
    assert list(pieces(vocabulary, iter(ids), "c "))[:4] == ["a", " b", "\n", "c"]


def test_prompts_by_vocabulary():
    characters = train_vocabulary("Añb\n".encode(), "characters", 0)
    assert read_prompt(characters, "bA").tokens.tolist() == [3, 2]
    assert read_prompt(characters, "").tokens.tolist() == [1]  # the line end
    without = train_vocabulary(b"ab", "characters", 0)
    assert read_prompt(without, "").tokens.tolist() == []
    words = train_vocabulary(b"a b\n" * 3, "words", 10)
    found = read_prompt(words, "a zebra and b")
    assert found.tokens.tolist() == [2, 0, 0, 3]
    assert found.notes == ["2 of the 4 words of the prompt are unknown, and read as <unk>"]
    assert read_prompt(words, " ").tokens.tolist() == read_prompt(words, "").tokens.tolist() == [1]
    assert read_prompt(words, "a").notes == []
    raw = train_vocabulary(b"", "bytes", 0)
    assert read_prompt(raw, "\udcffé").tokens.tolist() == [0xFF, 0xC3, 0xA9]  # a byte of the command line
    assert read_prompt(raw, "").tokens.tolist() == [10]


def test_prompts_that_cannot_be_read():
    vocabulary = train_vocabulary(b"abc\n", "characters", 0)
    with pytest.raises(UsageError) as error:
        read_prompt(vocabulary, "añb \x1b🐕ñ")
    assert str(error.value) == (
        r"the prompt holds 'ñ', ' ', '\x1b', '🐕', of which the model has learnt nothing: its vocabulary has 4 "
        "characters"
    )
    with pytest.raises(UsageError, match="and 12 more, of which"):
        read_prompt(vocabulary, "ABCDEFGHIJKLMNOPQRST")
    for kind in ("characters", "bpe", "words"):
        with pytest.raises(UsageError, match=r"the prompt is not UTF-8 \(character 2 of 3 stands for no"):
            read_prompt(train_vocabulary(b"abc abc\n" * 9, kind, 300), "a\udcffb")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_prompt(train_vocabulary(b"", "bytes", 0), "\ud800")


def test_what_stands_for_nothing_is_never_written():
    bpe = train_vocabulary(b"abc abc\n" * 9, "bpe", 262)
    silent = never_written(bpe).tolist()
    assert silent and all(not bpe.to_bytes([token]) for token in silent)
    assert len(silent) < 5
    assert never_written(train_vocabulary(b"ab", "characters", 0)).tolist() == [0]
    assert never_written(train_vocabulary(b"", "bytes", 0)).tolist() == []
    assert never_written(train_vocabulary(b"a b\n", "words", 9)).tolist() == []


@pytest.fixture(scope="module")
def fitted():
    vocabulary = train_vocabulary(b"abc \n", "characters", 0)
    config = GenerateConfig(embedding_size=5, hidden_size=6, num_layers=2)
    return FittedLanguageModel(config, language_model(vocabulary.size), vocabulary)


def test_a_text_from_python(fitted):
    text = "".join(fitted.write("ab", 60, temperature=0.8, top_k=4, top_p=0.95, seed=2))
    tokens = read_prompt(fitted.vocabulary, "ab").tokens
    expected = by_ordinary_calls(
        fitted.network, tokens, 60, Sampling(0.8, 4, 0.95), never_written(fitted.vocabulary), seed=2
    )
    assert text == fitted.vocabulary.decode(expected.flatten().tolist()) and len(text) == 60
    assert "".join(fitted.write(seed=7)) != "".join(fitted.write(seed=8)) and len(list(fitted.write())) == 500
    assert list(fitted.write("a", 0)) == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda one: one.write("a", -1), "length is -1; it must be at least 0"),
        (lambda one: one.write("a", 3, temperature=-1), "temperature is -1; it must be 0 or more"),
        (lambda one: one.write("z", 3), "the prompt holds 'z', of which the model has learnt nothing"),
    ],
)
def test_calls_are_refused_at_once(fitted, call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call(fitted)  # and not at the first piece
