"""The commands of a translator, from two files of lines to a file of answers."""

import json

import numpy as np
import pytest

SMALL = (
    "--tokenizer", "words", "--vocab-size", "40", "--embedding-size", "12", "--hidden-size", "12", "--epochs", "2",
    "--batch-size", "16", "--warmup", "2", "--beams", "2", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """150 lines of two to five words, and the same words backward."""
    rng = np.random.default_rng(0)
    words = ["red", "green", "blue", "black", "white", "one", "two", "three"]
    rows = [rng.choice(words, rng.integers(2, 6)).tolist() for _ in range(150)]
    folder = tmp_path_factory.mktemp("pairs")
    paths = folder / "source.txt", folder / "target.txt"
    paths[0].write_text("".join(" ".join(row) + "\n" for row in rows))
    paths[1].write_text("".join(" ".join(row[::-1]) + "\n" for row in rows))
    return paths


@pytest.fixture(scope="module")
def run(gatewise, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "words"
    called = gatewise("train", "translate", *pairs, "--out", folder, *SMALL, "--save-every", "3")
    assert called.code == 0, called.err
    assert called.out.startswith(f"read 150 pairs from {pairs[0]} and {pairs[1]}\n")
    assert "BLEU" in called.out
    assert f"gatewise evaluate {folder} TEST_DATA" in called.out
    return folder


def test_the_config_of_a_run_makes_the_same_run_again(gatewise, run, tmp_path):
    called = gatewise("train", "translate", "--config", run / "config.toml", "--out", tmp_path / "again")
    assert called.code == 0, called.err
    for name in ("model.safetensors", "tokenizer.json", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_evaluate_is_json_and_can_be_noted_in_the_run(gatewise, run, pairs, tmp_path):
    called = gatewise("evaluate", run, *pairs, "--beams", "1", "--json")
    assert called.json["examples"] == 150
    assert {"loss", "perplexity", "accuracy", "bleu", "bleu_signature", "chrf"} <= called.json.keys()
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert gatewise("evaluate", tmp_path, *pairs, "--save").code == 0
    assert "- Test, 150 pairs: loss" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "metrics.json").read_text())["test"]["examples"] == 150


def test_predict_answers_a_text_a_file_and_lines_alike(gatewise, run, pairs, tmp_path):
    sources = pairs[0].read_text().splitlines()[:5]
    file, out = tmp_path / "in.txt", tmp_path / "out.txt"
    file.write_text("\n".join([*sources, ""]) + "\n")
    called = gatewise("predict", run, file, "--out", out)
    assert "note: 1 of 6 sources are empty; so are their targets" in called.err
    answers = out.read_text().split("\n")
    assert answers[5:] == ["", ""]
    assert gatewise("predict", run, sources[0]).out.strip() == answers[0]
    lines = gatewise("predict", run, "-", stdin="\n".join(sources).encode())
    assert lines.out.split("\n")[:5] == answers[:5]
    found = gatewise("predict", run, file, "--json").json["predictions"]
    assert [one["target"] for one in found] == answers[:6]
    refused = gatewise("predict", run, file, "--out", out)
    assert (refused.code, refused.error) == (
        1,
        f"{out}: exists; name another file, or add --overwrite",
    )


def test_bad_calls_are_one_sentence(gatewise, run, pairs, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("one\n")
    cases = [
        ((), "there is no training data"),
        (
            (pairs[0], short),
            f"{pairs[0]} has 150 lines and {short} has 1 line; line for line they must belong together",
        ),
        ((pairs[0], tmp_path / "none"), f"{tmp_path / 'none'}: there is no such file"),
        (
            (pairs[0],),
            "source.txt: not a table (.csv, .tsv, .jsonl, .ndjson, each also .gz); name the file with the",
        ),
        ((*pairs, "--beams", "0"), "beams is 0; it must be in [1, 1000]"),
    ]
    for arguments, sentence in cases:
        called = gatewise("train", "translate", *SMALL, *arguments, "--out", tmp_path / "run")
        assert called.code in (1, 2)
        assert sentence in called.error
        assert not (tmp_path / "run").exists()
    assert gatewise("predict", run, " ").error == "the text is empty"
    assert "--out needs a file as INPUT" in gatewise("predict", run, "a text", "--out", short).error


def test_explain_prints_a_row_for_each_token_and_writes_a_page(gatewise, run, tmp_path):
    html = tmp_path / "why.html"
    called = gatewise("explain", run, "red one two blue", "--target", "blue two [bold] red", "--html", html)
    assert called.code == 0, called.err
    rows = [line.split()[0] for line in called.out.splitlines() if "%" in line and "+" in line + "+"]
    assert [row for row in rows if row in ("blue", "two", "[", "bold", "]", "red", "(end)")] == [
        "blue", "two", "[", "bold", "]", "red", "(end)",
    ]  # fmt: skip
    assert "[bold] red</h1>" in html.read_text() and str(html) in called.err
    told = gatewise("explain", run, "red one two blue", "--beams", "1", "--json").json
    assert told["target"] == gatewise("predict", run, "red one two blue", "--beams", "1").out.strip()
    assert len(told["candidates"]) == 1 and len(told["steps"]) == len(told["tokens"])
    step = told["steps"][-1]
    total = sum(sum(step[name]) for name in ("source_push", "start_push", "earlier_push")) + step["bias"]
    assert abs(total - step["margin"]) < 1e-4


def test_bad_calls_of_explain_are_one_sentence(gatewise, run, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    cases = [
        (("",), 1, "the text is empty"),
        (("red", "--target", "x", "--beams", "2"), 2, "with --target nothing is searched"),
        (("red", "--target", "red " * 501), 2, "the target has 501 tokens; at most 500 can be explained"),
        (("red", "--html", tmp_path / "page.html"), 1, "exists; name another file, or add --overwrite"),
        (("red", "--row", "1"), 2, "--row is an option of explain for classify; this is about translate"),
    ]
    for arguments, code, sentence in cases:
        called = gatewise("explain", run, *arguments)
        assert (called.code, sentence in called.error) == (code, True), called.error
    assert (tmp_path / "page.html").read_text() == "mine"


def test_a_target_of_two_lines_is_one_line_of_the_file(gatewise, run, tmp_path, monkeypatch):
    from gatewise.tasks.translate.fitted import FittedTranslator

    whole = FittedTranslator.translate

    def in_two_lines(self, texts, **search):
        return [
            one._replace(text=f"{text}\nagain")
            for text, one in zip(texts, whole(self, texts, **search), strict=True)
        ]

    monkeypatch.setattr(FittedTranslator, "translate", in_two_lines)
    (tmp_path / "in.txt").write_text("red one\ntwo\n")
    assert gatewise("predict", run, tmp_path / "in.txt", "--out", tmp_path / "out.txt").code == 0
    assert (tmp_path / "out.txt").read_text() == "red one again\ntwo again\n"
    assert gatewise("predict", run, tmp_path / "in.txt").out == "red one again\ntwo again\n"
    assert (
        gatewise("predict", run, tmp_path / "in.txt", "--json").json["predictions"][0]["target"]
        == "red one\nagain"
    )
