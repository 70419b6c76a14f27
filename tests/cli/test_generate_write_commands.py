"""`gatewise generate`, and `gatewise predict` of a language model."""

import csv
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from gatewise.tasks.generate.fitted import load_fitted

LINE = "It was a dark night,\tand it rained.\n"
FLAGS = (
    "--embedding-size", "6", "--hidden-size", "8", "--num-layers", "1", "--epochs", "2", "--streams", "2",
    "--steps", "10", "--learning-rate", "0.02", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(gatewise, tmp_path_factory):
    folder = tmp_path_factory.mktemp("writers")
    (folder / "book.txt").write_text("\x1b[2J\u202e\n" + LINE * 20, encoding="utf-8")
    called = gatewise("train", "generate", folder / "book.txt", "--out", folder / "run", *FLAGS)
    assert called.code == 0, called.err
    return folder / "run"


@pytest.fixture(scope="module")
def words(gatewise, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wordy")
    (folder / "book.txt").write_text("one two three\nfour five\n" * 20, encoding="utf-8")
    flags = (*FLAGS, "--tokens", "words")
    assert gatewise("train", "generate", folder / "book.txt", "--out", folder / "run", *flags).code == 0
    return folder / "run"


def test_text_is_written_and_streamed_alike(gatewise, model, tmp_path):
    how = ("--prompt", "It was", "--length", "70", "--temperature", "0.9", "--top-k", "9", "--top-p", "0.9")
    found = gatewise("generate", model, *how, "--seed", "3", "--json").json
    expected = "".join(load_fitted(model).write("It was", 70, temperature=0.9, top_k=9, top_p=0.9, seed=3))
    assert found["text"] == expected and found["tokens"] == 70 and found["prompt"] == "It was"
    whole = gatewise("generate", model, *how, "--seed", "3")
    streamed = gatewise("generate", model, *how, "--seed", "3", "--stream", "--out", tmp_path / "text")
    assert whole.code == 0 and whole.out == streamed.out and whole.out.startswith("It was")
    assert (tmp_path / "text").read_text("utf-8") == "It was" + expected
    assert gatewise("generate", model, *how, "--seed", "4").out != whole.out
    both = gatewise("generate", model, *how, "--seed", "3", "--stream", "--json")
    assert both.json["text"] == expected and both.err == streamed.out


def test_what_a_terminal_would_obey_is_not_printed(gatewise, model):
    """The text was trained on holds an escape and a turned direction; hot sampling writes them."""
    how = ("--length", "400", "--temperature", "50", "--seed", "1")
    text = gatewise("generate", model, *how, "--json").json["text"]
    assert {"\x1b", "\u202e", "\t", "\n"} <= set(text)
    for flags in ((), ("--stream",)):
        printed = gatewise("generate", model, *how, *flags).out
        assert not {"\x1b", "\u202e"} & set(printed)
        assert printed == text.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd") + "\n"


def test_words_and_unknown_ones(gatewise, words):
    called = gatewise("generate", words, "--prompt", "one zebra", "--length", "6", "--temperature", "0")
    assert called.code == 0 and called.out[:10] in ("one zebra ", "one zebra\n")
    assert called.err == "note: 1 of the 2 words of the prompt are unknown, and read as <unk>\n"
    assert gatewise("generate", words, "--length", "0").out == "\n"


def test_calls_that_cannot_be(gatewise, model, trained, tmp_path):
    for words, code, sentence in (
        (("--prompt", "Iß"), 2, "the prompt holds 'ß', of which the model has learnt nothing: its vocabulary has "),
        (("--temperature", "-1"), 2, "temperature is -1; it must be 0 or more"),
        (("--top-k", "-1"), 2, "top_k is -1; it is a whole number, 0 or more"),
        (("--top-p", "0"), 2, "top_p is 0; it must be above 0 and at most 1"),
        (("--out", model), 1, f"{model}: "),
    ):  # fmt: skip
        called = gatewise("generate", model, *words)
        assert called.code == code and called.error.startswith(sentence) and not called.out
    called = gatewise("generate", trained)
    assert called.code == 2
    assert called.error == "a classify run has no generate; generate is for generate runs"


def test_log_probabilities_of_a_text(gatewise, model):
    fitted, text = load_fitted(model), "It was dark."
    found = gatewise("predict", model, text, "--json").json
    ids = fitted.tokens("\n" + text)  # as if a line began with it
    with torch.no_grad():
        logits = fitted.network(ids[:-1, None])[0][:, 0].double()
    losses = cross_entropy(logits, ids[1:], reduction="none")
    assert [row["token"] for row in found["by_token"]] == list(text)
    assert [row["log_probability"] for row in found["by_token"]] == pytest.approx(
        (-losses).tolist(), abs=1e-6
    )
    assert found["log_probability"] == pytest.approx(-float(losses.sum()), abs=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(float(losses.mean())), rel=1e-6)
    for row, one in zip(found["by_token"], logits, strict=True):
        order = one.argsort(descending=True)
        assert order[row["rank"] - 1] == fitted.tokens(row["token"])[0]
        assert row["likeliest"] == fitted.vocabulary.decode(order[:1].tolist())
        assert row["probability"] == pytest.approx(float(one.softmax(0).max()), abs=1e-9)
    lines = gatewise("predict", model, text).out.splitlines()
    assert lines[0].startswith(f"log-probability {found['log_probability']:.4f}, 12 tokens, perplexity ")
    assert lines[2].split()[0] == "'I'" and len(lines) == 14


def test_log_probabilities_of_lines(gatewise, model, words, tmp_path):
    (tmp_path / "lines.txt").write_text("It was\n\na night", encoding="utf-8")
    called = gatewise("predict", model, tmp_path / "lines.txt", "--out", tmp_path / "scores.csv")
    assert called.code == 0 and "note: 1 of 3 lines are empty; they get no figures" in called.err
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["text"] for row in rows] == ["It was", "", "a night"] and rows[1]["log_probability"] == ""
    alone = gatewise("predict", model, "a night", "--json").json
    assert float(rows[2]["log_probability"]) == pytest.approx(alone["log_probability"], abs=1e-9)
    given = gatewise("predict", model, "-", "--json", stdin=b"It was\n\na night\n").json["predictions"]
    assert [row.get("tokens") for row in given] == [6, None, 7]
    called = gatewise("predict", words, "-", stdin=b"one two\nthree zebra\n")
    assert [line.split("\t")[-1] for line in called.out.splitlines()] == ["text", "one two", "three zebra"]
    assert "line 2: 1 of the 2 words of the text are unknown" in called.err
    called = gatewise("predict", model, "-", stdin="It was\nß\n".encode())
    assert called.code == 2 and called.error.startswith(
        "standard input, line 2: the text holds 'ß', of which"
    )
    assert gatewise("predict", model, "").error == "the text is empty"
    assert gatewise("predict", model, "x", "--out", "a.csv").error.startswith("--out needs a file or - as")


def test_what_pushed_the_next_character(gatewise, model, tmp_path):
    text, page = "It was a da", tmp_path / "why.html"
    found = gatewise("explain", model, text, "--target", "r", "--html", page, "--json").json
    assert found["target"] == "r" and found["html"] == str(page) and found["tokens"] == list(text)
    total = math.fsum(found["push"]) + found["initial"] + found["bias"]
    assert total == pytest.approx(found["margin"], abs=1e-5)
    printed = gatewise("explain", model, text, "--target", "r").out
    assert (
        printed.startswith("explained: 'r' (")
        and f"= {found['margin']:.4f} (logit over its rival's)" in printed
    )
    assert f"gatewise explain {model} " in page.read_text("utf-8")
    again = gatewise("explain", model, text, "--html", page)
    assert again.code == 1 and again.error == f"{page}: exists; name another file, or add --overwrite"
    assert gatewise("explain", model, text, "--at", "99").error.startswith(
        "at is 99; the text has 11 characters"
    )


def test_units_that_follow_the_text(gatewise, model, tmp_path):
    (tmp_path / "text.txt").write_text((LINE + "(dark) " + LINE) * 40, encoding="utf-8")
    page = tmp_path / "units.html"
    how = ("--most", "2048", "--permutations", "19")
    found = gatewise("units", model, tmp_path / "text.txt", *how, "--html", page, "--json").json
    assert found["tokens"] == 2048 and found["all_units"] == 8 and found["permutations"] == 19
    assert [abs(one["correlation"]) for one in found["units"]] == sorted(
        (abs(one["correlation"]) for one in found["units"]), reverse=True
    )
    assert {one["signal"] for one in found["units"]} == {
        "position in line",
        "bracket depth",
        "position in word",
    }
    assert "nothing of the text is Python comment" in found["notes"]
    html = page.read_text("utf-8")
    assert html.count('class="coloured"') == 3 and "position in line" in html
    printed = gatewise("units", model, tmp_path / "text.txt", *how).out
    assert "of 8 units (c, 2,048 tokens) these follow the text most closely:" in printed
    (tmp_path / "short.txt").write_text(LINE, encoding="utf-8")
    called = gatewise("units", model, tmp_path / "short.txt")
    assert called.error == (
        f"{tmp_path / 'short.txt'}: has 36 tokens (characters); 2,048 at least are needed"
    )
    assert gatewise("units", model, tmp_path / "text.txt", "--most", "7").error.startswith(
        "most is 7; at least"
    )
