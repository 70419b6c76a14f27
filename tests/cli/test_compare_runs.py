"""Runs side by side: their figures are those of evaluate, and what cannot be compared is refused.

The runs are barely trained: it is about measuring.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from gatewise.data.captions import read_captions
from gatewise.data.pairs import Pairs
from gatewise.synthetic.clips import draw_clips, write_clips
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.recipe import train_captions
from gatewise.tasks.generate import compare as language_models
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.corpus import read_part
from gatewise.tasks.generate.fitted import load_fitted
from gatewise.tasks.generate.recipe import read, train
from gatewise.tasks.generate.vocabulary import train_vocabulary
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.recipe import train_pairs

SMALL = {"embedding_size": 8, "hidden_size": 8, "epochs": 1, "device": "cpu", "threads": 1}
LINES = [
    f"the {a} {b} é {c}." for a in ("red", "old", "big") for b in ("cat", "dog", "ant") for c in "abcdef"
]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A text to train on, and another to measure on, of 60 lines."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "train.txt").write_text("\n".join(LINES * 4) + "\n", "utf-8")
    (folder / "test.txt").write_text("\n".join(LINES[10:30] * 3) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def writers(book):
    """Language models of every kind of token, and one of another cell."""
    made = {}
    kinds = {"characters": {}, "gru": {"cell": "gru"}, "bpe": {"vocab_size": 280}, "bytes": {}, "words": {}}
    for name, options in kinds.items():
        tokens = "characters" if name == "gru" else name
        config = GenerateConfig(
            data=(str(book / "train.txt"),), tokens=tokens, streams=8, steps=16, **SMALL, **options
        )
        made[name] = book / name
        train(config, read(config), out=made[name], progress=None)
    return made


@pytest.fixture(scope="module")
def pairs_table(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    rows = [f"{line}\t{line.upper()}\t{line[::-1]}" for line in LINES[:24]]
    path.write_text("\n".join(["source\ttarget\tother", *rows]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translators")
    pairs = Pairs([str(k) for k in range(54)], LINES, [line.upper() for line in LINES], "lines", "0" * 64)
    kinds = {
        "first": {"tokenizer": "words"},
        "wide": {"tokenizer": "words", "embedding_size": 12},
        "bpe": {"vocab_size": 270, "max_length": 40},
        "bpe2": {"vocab_size": 290, "max_length": 40},
    }
    for name, options in kinds.items():
        config = TranslateConfig(**SMALL | {"validation": 0.0, "beams": 1} | options)
        train_pairs(pairs, config, out=folder / name, progress=None)
    return {name: folder / name for name in kinds}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(draw_clips(22, frames=2), tmp_path_factory.mktemp("clips") / "drawn")


@pytest.fixture(scope="module")
def captioners(clips, tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("captioners"), read_captions(*clips)
    for name, options in {"seen": {}, "blind": {"blind": True}}.items():
        config = CaptionConfig(
            **SMALL, picture_size=32, channels=32, vocab_size=40, validation=0.0, beams=1, **options
        )
        train_captions(data, config, out=folder / name, progress=None)
    return {name: folder / name for name in ("seen", "blind")}


def assert_same_figures(row, figures, names):
    for name in names:
        assert row[name] == pytest.approx(figures[name], rel=1e-6), name


def test_language_models_of_the_same_tokens(gatewise, writers, book):
    runs = [writers["characters"], writers["gru"]]
    found = gatewise("compare", *runs, "--data", book / "test.txt", "--block", "50", "--json").json
    assert [row["run"] for row in found["runs"]] == [str(run) for run in runs]
    for row, run in zip(found["runs"], runs, strict=True):
        figures = gatewise("evaluate", run, book / "test.txt", "--json").json
        assert_same_figures(row, figures, ("loss", "perplexity", "bits_per_character"))
        assert row["parameters"] == sum(p.numel() for p in load_fitted(run).network.parameters())
        assert row["seconds"] > 0
    assert found["options"] == {"cell": ["lstm", "gru"]}
    first, other = found["runs"]
    assert first["difference"] is None
    for name in ("loss", "perplexity", "bits_per_character", "bits_per_byte"):
        value, low, high = other["difference"][name]
        assert value == pytest.approx(other[name] - first[name])
        assert low <= value <= high and low < high
    assert found["examples"] == math.ceil((book / "test.txt").stat().st_size / 50) and found["notes"] == []


def test_language_models_of_other_tokens_are_compared_by_what_they_read(gatewise, writers, book):
    runs = [writers[name] for name in ("bytes", "characters", "bpe")]
    found = gatewise("compare", *runs, "--data", book / "test.txt", "--block", "50", "--json").json
    size = len(read_part(book / "test.txt").content)
    for row, run in zip(found["runs"], runs, strict=True):
        assert "loss" not in row and "perplexity" not in row
        figures = gatewise("evaluate", run, book / "test.txt", "--json").json
        assert_same_figures(
            row, figures, [n for n in ("bits_per_byte", "bits_per_character") if n in figures]
        )
        assert row["bits_per_character"] > row["bits_per_byte"]  # for é has two bytes
    assert size == (book / "test.txt").stat().st_size
    assert found["options"]["tokens"] == ["bytes", "characters", "bpe"]
    assert found["notes"] == ["the runs cut the text into different tokens, so that no figure is one a token"]


def test_a_window_is_that_of_evaluate(gatewise, writers, book):
    runs = [writers["words"], writers["words"].parent / "again"]
    load_fitted(runs[0]).save(runs[1], overwrite=True)
    found = gatewise(
        "compare", *runs, "--data", book / "test.txt", "--block", "50", "--window", "7", "--json"
    ).json
    figures = gatewise("evaluate", runs[0], book / "test.txt", "--window", "7", "--json").json
    for row in found["runs"]:
        assert_same_figures(row, figures, ("loss", "perplexity"))
        assert "bits_per_byte" not in row  # words do not keep the blanks
    assert found["runs"][1]["difference"]["loss"] == [0, 0, 0] and found["options"] == {}


def test_a_token_counts_in_the_block_in_which_it_begins(writers, book, monkeypatch):
    """With a cost for each token that is its number, the blocks' sums can be written out from the tokens' bytes."""
    fitted = load_fitted(writers["bpe"], device="cpu")
    content = (book / "test.txt").read_bytes()
    tokens = fitted.tokens(content).tolist()
    wanted, place = np.zeros((math.ceil(len(content) / 50), 3)), 0
    for k, token in enumerate(tokens):
        piece = fitted.vocabulary.to_bytes([token])
        if k:
            own = sum(byte & 0xC0 != 0x80 for byte in piece)
            wanted[place // 50] += k, len(piece), own
        place += len(piece)
    assert place == len(content) and max(map(len, map(fitted.vocabulary.to_bytes, ([t] for t in tokens)))) > 2
    monkeypatch.setattr(
        language_models, "token_losses", lambda network, ids, window: torch.arange(1.0, len(ids)).double()
    )
    found = language_models.compare(
        [writers["bpe"], writers["bytes"]], book / "test.txt", block=50, device="cpu"
    )
    by_byte, by_character = found.runs[0].figures
    np.testing.assert_array_equal(by_byte.sums, wanted[:, [0, 1]])
    np.testing.assert_array_equal(by_character.sums, wanted[:, [0, 2]])


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_the_bytes_of_tokens_add_up_to_the_text(kind):
    text = "año 日本 🙂 the end, the end.\n".encode()
    vocabulary = train_vocabulary(text, kind, 300)
    tokens = vocabulary.encode(text)
    lengths = vocabulary.byte_lengths(text, tokens).tolist()
    assert lengths == [len(vocabulary.to_bytes([token])) for token in tokens.tolist()]
    assert sum(lengths) == len(text)
    if kind == "characters":  # one that it lacks has its bytes all the same
        unseen = "a🙃".encode()
        assert vocabulary.byte_lengths(unseen, vocabulary.encode(unseen)).tolist() == [1, 4]


def test_unknown_characters_are_noted(gatewise, writers, book, tmp_path):
    (tmp_path / "new.txt").write_text((book / "test.txt").read_text("utf-8") + "ßß", "utf-8")
    runs = [writers["characters"], writers["bytes"]]
    found = gatewise("compare", *runs, "--data", tmp_path / "new.txt", "--block", "50", "--json").json
    assert found["notes"][0].startswith(f"{runs[0]}: 2 of the ") and len(found["notes"]) == 2


def test_translators(gatewise, translators, pairs_table):
    runs = [translators["first"], translators["wide"]]
    found = gatewise("compare", *runs, "--data", pairs_table, "--json", "--seed", "4").json
    for row, run in zip(found["runs"], runs, strict=True):
        figures = gatewise("evaluate", run, pairs_table, "--json").json
        assert_same_figures(row, figures, ("loss", "perplexity", "accuracy", "bleu", "chrf"))
    assert found["examples"] == 24 and found["unit"] == "pairs" and found["seed"] == 4
    assert found["options"] == {"embedding_size": [8, 12]}


def test_translators_of_other_tokens_are_compared_by_characters(gatewise, translators, pairs_table):
    runs = [translators["bpe"], translators["bpe2"]]
    found = gatewise("compare", *runs, "--data", pairs_table, "--json").json
    characters = sum(len(line) for line in LINES[:24])
    for row, run in zip(found["runs"], runs, strict=True):
        figures = gatewise("evaluate", run, pairs_table, "--json").json
        assert_same_figures(row, figures, ("bleu", "chrf"))
        bits = figures["loss"] * figures["tokens"] / characters / math.log(2)
        assert row["bits_per_character"] == pytest.approx(bits, rel=1e-6)
        assert "loss" not in row
    assert "bits a character stand in the place of" in found["notes"][0]
    assert found["notes"][1:] == [f"BLEU: {figures['bleu_signature']}", f"chrF: {figures['chrf_signature']}"]
    mixed = gatewise("compare", translators["first"], runs[0], "--data", pairs_table, "--json").json
    assert set(mixed["runs"][1]["difference"]) == {"bleu", "chrf"}
    assert "there is no figure in the place of" in mixed["notes"][0]


def test_two_files_are_read_as_evaluate_reads_them(gatewise, translators, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(LINES[:20]))
    (tmp_path / "b.txt").write_text("\n".join(line.upper() for line in LINES[:20]))
    runs = [translators["first"], translators["wide"]]
    called = gatewise("compare", *runs, "--data", tmp_path / "a.txt", "--targets", tmp_path / "b.txt")
    assert called.code == 0
    assert "* 20 pairs; in brackets 95 % intervals" in called.out
    assert [line.split("|")[1].strip() for line in called.out.splitlines()[2:7]] == [
        "loss, nats a token", "perplexity", "next token right, %", "BLEU", "chrF",
    ]  # fmt: skip


def test_captioners(gatewise, captioners, clips):
    runs = [captioners["seen"], captioners["blind"]]
    given = ("--pictures", clips[0], "--captions", clips[1])
    found = gatewise("compare", *runs, *given, "--json").json
    for row, run in zip(found["runs"], runs, strict=True):
        figures = gatewise("evaluate", run, *clips, "--json").json
        assert_same_figures(row, figures, ("loss", "perplexity", "accuracy", "exact", "bleu", "chrf"))
    assert found["examples"] == 22 and found["unit"] == "clips"
    assert found["options"] == {"blind": [False, True]}
    lines = gatewise("compare", *runs, *given).out.splitlines()
    assert [cell.strip() for cell in lines[10].strip("|").split("|")] == ["blind", "no", "yes"]


def test_sentences_that_one_run_cuts_are_noted(gatewise, captioners, clips, tmp_path):
    config = (captioners["blind"] / "config.toml").read_text()
    short = tmp_path / "short"
    short.mkdir()
    for file in captioners["blind"].iterdir():
        if file.is_file():
            (short / file.name).write_bytes(file.read_bytes())
    (short / "config.toml").write_text(config.replace("max_length = 40", "max_length = 3"))
    found = gatewise(
        "compare", captioners["blind"], short, "--pictures", clips[0], "--captions", clips[1], "--json"
    ).json
    assert f"{short}: 22 sentences cut to 3 tokens (max_length)" in found["notes"]
    assert "loss" not in found["runs"][0] and "exact" in found["runs"][0]


def test_runs_that_cannot_be_compared(gatewise, writers, translators, trained, book, pairs_table, tmp_path):
    one, two, data = writers["characters"], writers["gru"], ("--data", book / "test.txt", "--block", "50")
    asked = {
        (one, *data): (2, "compare needs two runs or more, and 1 is given"),
        (one, one, *data): (2, f"{one}: is given twice"),
        (one, translators["first"], *data): (
            2,
            f"{translators['first']}: is a translate run; the runs that are compared here are generate runs",
        ),
        (one, tmp_path / "none", *data): (1, f"{tmp_path / 'none'}: no such run folder"),
        (tmp_path / "none", one, *data): (1, f"{tmp_path / 'none'}: no such run folder"),
        (trained, one, *data): (2, f"{trained}: is a classify run; compare takes data for classify, and no runs"),
        (one, two, "--pictures", book, *data): (
            2, "--pictures is an option of compare for caption; this is about generate",
        ),
        (one, two): (2, "Missing option '--data' (see gatewise compare --help)"),
        (one, two, "--data", book / "none.txt"): (1, f"{book / 'none.txt'}: there is no such file"),
        (one, two, "--data", book / "test.txt"): (
            1, f"{book / 'test.txt'}: 2 blocks of 1,000 bytes; an interval needs 20 at least",
        ),
        (writers["words"], one, *data): (
            2,
            f"{writers['words']}: reads words and drops the blanks between them, so that it can be compared only with "
            "runs of the same vocabulary",
        ),
    }  # fmt: skip
    for arguments, (code, error) in asked.items():
        called = gatewise("compare", *arguments)
        assert (called.code, called.error) == (code, error), arguments


def test_runs_that_read_the_same_file_differently(
    gatewise, translators, writers, book, pairs_table, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    for file in translators["first"].iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    config = (other / "config.toml").read_text()
    (other / "config.toml").write_text(config.replace('target = ""', 'target = "other"'))
    called = gatewise("compare", translators["first"], other, "--data", pairs_table)
    assert called.code == 1
    assert called.error.endswith(
        f"{other} reads columns 'source' and 'other' and {translators['first']} 'source' and 'target', which are not "
        "the same pairs"
    )
    (tmp_path / "raw.txt").write_bytes(b"\xff" * 50_000)
    called = gatewise("compare", writers["bytes"], writers["characters"], "--data", tmp_path / "raw.txt")
    assert called.code == 1 and "UTF-8" in called.error


def test_what_was_not_read_or_is_written_differently_is_noted(
    gatewise, translators, captioners, clips, tmp_path
):
    long = "the red cat é a. " * 30
    (tmp_path / "long.tsv").write_text(
        "source\ttarget\n" + "".join(f"{long}\t{line}\n" for line in LINES[:20])
    )
    runs = [translators["bpe"], translators["first"]]
    notes = gatewise("compare", *runs, "--data", tmp_path / "long.tsv", "--json").json["notes"]
    cut = "of 20 of 20 sources only the first {} tokens were read (max_length)"
    assert notes[:2] == [f"{run}: {cut.format(n)}" for run, n in zip(runs, (40, 100), strict=True)]
    cased = tmp_path / "cased"
    config = CaptionConfig(
        **SMALL, picture_size=32, channels=32, vocab_size=300, validation=0.0, beams=1, tokenizer="bpe"
    )
    table = tmp_path / "cased.csv"
    table.write_text(clips[1].read_text().replace(",a ", ",A "))
    train_captions(read_captions(clips[0], table), config, out=cased, progress=None)
    given = ("--pictures", clips[0], "--captions", table, "--json")
    assert any(
        "own form" in note for note in gatewise("compare", captioners["seen"], cased, *given).json["notes"]
    )


def test_the_name_of_the_task_may_come_first(gatewise, writers, book):
    runs = [writers["characters"], writers["gru"]]
    found = [
        gatewise("compare", *words, *runs, "--data", book / "test.txt", "--block", "50", "--json").json
        for words in ((), ("generate",))
    ]
    assert found[0] == found[1]


def test_the_first_run_is_the_one_that_others_are_compared_with(gatewise, writers, book):
    runs = [writers["characters"], writers["gru"]]
    there, back = (
        gatewise("compare", *order, "--data", book / "test.txt", "--block", "50", "--json").json
        for order in (runs, runs[::-1])
    )
    for name, (value, low, high) in there["runs"][1]["difference"].items():
        assert back["runs"][1]["difference"][name] == pytest.approx([-value, -high, -low], abs=1e-12)
    assert list(itertools.chain.from_iterable(back["options"].values())) == ["gru", "lstm"]
