"""`gatewise train generate` and `gatewise evaluate` of its runs."""

import json
import math

import pytest

FLAGS = (
    "--embedding-size", "6", "--hidden-size", "8", "--num-layers", "1", "--epochs", "2", "--streams", "2",
    "--steps", "10", "--learning-rate", "0.02", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("books") / "book.txt"
    path.write_text("It was a dark night, and it rained.\n" * 20, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(gatewise, book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "book"
    called = gatewise("train", "generate", book, "--out", folder, *FLAGS, "--json")
    assert called.code == 0, called.err
    assert called.json["run"] == str(folder) and called.json["tokens"]["kind"] == "characters"
    return folder


def test_figures_of_a_text(gatewise, model, book):
    called = gatewise("evaluate", model, book)
    assert called.code == 0 and called.out.startswith("perplexity ") and "bits a character" in called.out
    found = gatewise("evaluate", model, book, "--json").json
    assert found["tokens"] == found["characters"] == 36 * 20 - 1
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["bits_per_character"] == pytest.approx(found["loss"] / math.log(2))
    window = gatewise("evaluate", model, book, "--window", "5", "--json").json
    assert window["window"] == 5 and window["tokens"] == found["tokens"] and window["loss"] > found["loss"]
    several = gatewise("evaluate", model, book, "--streams", "4", "--json").json
    # Each piece is read after up to 1,000 tokens before it, which here are all.
    assert several["streams"] == 4 and several["loss"] == pytest.approx(found["loss"], rel=1e-6)
    cached = ("evaluate", model, book, "--cache", "100", "--cache-theta", "1", "--cache-share", "0.3")
    assert gatewise(*cached, "--json").json["cache"] == {"size": 100, "theta": 1.0, "share": 0.3}
    assert "with a cache of 100 (theta 1, share 0.3)" in gatewise(*cached).out
    refused = gatewise(*cached, "--window", "5")
    assert refused.code == 2 and refused.error.startswith("a cache reads the whole text in one stream")


def test_a_test_is_noted_in_the_run(gatewise, model, book):
    assert gatewise("evaluate", model, book, "--save").code == 0
    assert "test" in json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "- Test: perplexity" in card and "has not been measured" not in card


def test_a_run_is_reproduced_from_its_own_config(gatewise, model, tmp_path):
    called = gatewise("train", "generate", "--config", model / "config.toml", "--out", tmp_path / "again")
    assert called.code == 0, called.err
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model, tmp_path / "again")]
    assert weights[0] == weights[1]


def test_a_folder_words_and_parts_of_your_own(gatewise, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("one two three\nfour five\n" * 9)
    (tmp_path / "valid").write_text("one two three\nfour six\n")
    called = gatewise(
        "train", "generate", tmp_path, "--valid", tmp_path / "valid", "--tokens", "words", "--out", tmp_path / "run",
        *FLAGS, "--json",
    )  # fmt: skip
    assert called.code == 0, called.err
    assert called.json["tokens"] == {"kind": "words", "vocabulary": 7, "training": 189, "validation": 7}
    assert called.json["data"]["training"]["files"] == 3 and called.json["validation"]["unknown"] == 1
    assert "1 of the 7 words of the validation part are unknown" in called.err


def test_what_cannot_be_read_is_refused(gatewise, model, book, tmp_path):
    picture = tmp_path / "picture.txt"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    for words in (("evaluate", model, picture), ("train", "generate", picture, "--out", tmp_path / "run")):
        called = gatewise(*words)
        assert (called.code, called.error) == (
            1, f"{picture}, byte 1: not UTF-8 (byte 0x89: invalid start byte)",
        )  # fmt: skip
    assert gatewise("evaluate", model, book, "--text", "x").error.startswith(
        "--text is an option of evaluate for classify"
    )
    called = gatewise("train", "generate", tmp_path / "none.txt", "--out", tmp_path / "run")
    assert called.error == f"{tmp_path / 'none.txt'}: there is no such file"
    assert not (tmp_path / "run").exists() and not (tmp_path / "run.training").exists()


def test_from_a_table_to_a_language_model_to_a_classifier(gatewise, tmp_path):
    table = tmp_path / "reviews.csv"
    rows = [f"the film was {('great', 'dull')[k % 2]} number {k},{('yes', 'no')[k % 2]}" for k in range(40)]
    table.write_text("review,good\n" + "\n".join(rows) + "\n")
    begun = gatewise(
        "train", "generate", table, "--text", "review", "--tokens", "bpe", "--vocab-size", "270",
        "--out", tmp_path / "lm", *FLAGS,
    )  # fmt: skip
    assert begun.code == 0, begun.err
    assert gatewise("evaluate", tmp_path / "lm", table, "--json").json["tokens"] > 40
    made = (
        "train", "classify", table, "--text", "review", "--label", "good", "--from", tmp_path / "lm",
        "--epochs", "1", "--device", "cpu", "--out",
    )  # fmt: skip
    called = gatewise(*made, tmp_path / "run", "--json")
    assert called.code == 0, called.err
    assert called.json["language_model"]["source"] == str(tmp_path / "lm")
    assert len(called.json["language_model"]["sha256"]) == 64
    assert gatewise("predict", tmp_path / "run", "a great film").code == 0
    again = gatewise(
        "train", "classify", "--config", tmp_path / "run" / "config.toml", "--out", tmp_path / "again"
    )
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()
    refused = gatewise(*made, tmp_path / "other", "--hidden-size", "9")
    assert refused.code == 2 and refused.error == (
        "--hidden-size is that of the language model; leave it out with --from"
    )
    missing = gatewise(*made[:-1], "--from", tmp_path / "none", "--out", tmp_path / "other")
    assert missing.code == 1 and "none" in missing.error and not (tmp_path / "other").exists()
