"""The generate recipe as a whole: it learns, saves, loads, goes on bit for bit, and refuses what it cannot use."""

import json
import math
import os
import shutil
from dataclasses import replace

import pytest
import torch
from language_cases import language_model, random_tokens
from safetensors.torch import load_file, save_file

from gatewise.errors import DataError, RunError, UsageError
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.corpus import Corpus, Part, read_part
from gatewise.tasks.generate.fitted import load_fitted
from gatewise.tasks.generate.recipe import train
from gatewise.training import recipe
from gatewise.training.carried import Window

TINY = GenerateConfig(
    embedding_size=8, hidden_size=12, num_layers=2, streams=4, steps=12, epochs=3, learning_rate=0.02, warmup=4,
    device="cpu",
)  # fmt: skip
ALL = replace(
    TINY, tie=True, input_dropout=0.2, hidden_dropout=0.2, output_dropout=0.2, locked=True, embedding_dropout=0.1,
    weight_drop=0.3, ar=2.0, tar=1.0, random_steps=True, optimizer="sgd", learning_rate=5.0, schedule="constant",
    average="nt-asgd", patience_of_average=0, epochs=4, clip=0.25, weight_decay=1e-6,
)  # fmt: skip
SENTENCE = "the cat sat on the mat; the dog lay by the log. "


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def corpus(text=SENTENCE * 12, validation=SENTENCE * 2):
    return Corpus(
        Part("made", text.encode(), 1), Part("made too", validation.encode(), 1) if validation else None
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("characters", {"steps": 8}),
        ("bytes", {"steps": 8, "epochs": 30}),
        ("words", {"steps": 4, "streams": 2, "epochs": 30}),
        ("bpe", {"steps": 6, "streams": 2, "epochs": 30, "vocab_size": 280}),
    ],
)
def test_a_text_that_repeats_itself_is_learned(kind, options):
    config = replace(TINY, tokens=kind, hidden_size=32, num_layers=1, **{"epochs": 20} | options)
    fitted = train(config, corpus(), progress="silent")
    figures = fitted.metrics["validation"]
    assert figures["loss"] < fitted.history[0]["validation_loss"] / 2
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert "".join(fitted.write(SENTENCE + "the cat sat", 20, temperature=0)).strip().startswith("on the ")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with every regulariser. Not to be changed: copy it first."""
    folder = tmp_path_factory.mktemp("runs") / "all"
    train(ALL, corpus(), out=folder, progress="silent")
    return folder


def test_a_saved_model_is_the_trained_one(run, tmp_path):
    fitted = load_fitted(run)
    weights = load_file(run / "model.safetensors")
    assert set(weights) == set(fitted.network.state_dict()) and "output_weight" not in weights  # tied
    part = Part("made too", (SENTENCE * 2).encode(), 1)
    exact = fitted.evaluate(part)
    assert exact["streams"] == 1 and exact["tokens"] == len(SENTENCE * 2) - 1
    assert fitted.metrics["validation"]["loss"] == pytest.approx(
        exact["loss"], rel=1e-6
    )  # one piece: the same text
    assert min(row["validation_loss"] for row in fitted.history) == pytest.approx(exact["loss"], rel=1e-6)
    fitted.save(tmp_path / "again")
    again = load_fitted(tmp_path / "again")
    assert again.evaluate(part) == exact
    assert list(again.write("the ", 30, seed=5)) == list(fitted.write("the ", 30, seed=5))
    assert list(again.write("the ", 30, seed=6)) != list(fitted.write("the ", 30, seed=5))
    assert fitted.evaluate(part, window=7)["loss"] != exact["loss"]


def test_the_card_says_what_was_done(run):
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "# LSTM language model of characters" in card and "layers of 12 and 8 units" in card
    assert "perplexity" in card and "tied to the output" in card and "| weight_drop | `0.3` |" in card
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tokens"]["vocabulary"] == len(set(SENTENCE)) + 1
    assert metrics["data"]["training"]["bytes"] == len(SENTENCE) * 12


class Killed(BaseException):
    """Nothing catches it but what must run also when a process goes on."""


@pytest.mark.parametrize("die_at", [1, 13, 27])
def test_a_killed_training_goes_on_bit_for_bit(run, tmp_path, monkeypatch, die_at):
    plain, config = recipe.fit, replace(ALL, save_every=3)

    def die(moment):
        if moment.tick.step == die_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "fit", lambda *given, **named: plain(*given, **named | {"callbacks": [die]}))
        with pytest.raises(Killed):
            train(config, corpus(), out=tmp_path / "run", progress="silent")
    train(config, corpus(), out=tmp_path / "run", progress="silent", resume=True)
    for name in ("model.safetensors", "steps.jsonl", "vocabulary.json"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes(), name
    rows = [
        [json.loads(line) | {"seconds": 0} for line in (place / "metrics.jsonl").read_text().splitlines()]
        for place in (tmp_path / "run", run)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 4


def test_another_text_or_option_is_refused_at_resume(tmp_path, monkeypatch):
    plain = recipe.fit

    def die(moment):
        if moment.tick.step == 15:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "fit", lambda *given, **named: plain(*given, **named | {"callbacks": [die]}))
        with pytest.raises(Killed):
            train(TINY, corpus(), out=tmp_path / "run", progress="silent")
    with pytest.raises(UsageError, match="begun with steps = 12, and cannot go on with 13"):
        train(replace(TINY, steps=13), corpus(), out=tmp_path / "run", progress="silent", resume=True)
    with pytest.raises(UsageError, match="begun with the SHA-256 of the training data"):
        train(
            TINY,
            corpus(SENTENCE * 11 + SENTENCE.upper()),
            out=tmp_path / "run",
            progress="silent",
            resume=True,
        )


def test_the_gradients_of_processes_add_up_to_those_of_one():
    """A window's loss and penalties are sums over tokens: those of its streams, shared out, are the whole's."""
    model = language_model(ar=2.0, tar=1.0, tie=True).train()
    ids = random_tokens(60)
    window = Window(ids[:-4].view(8, 7), ids[4:].view(8, 7))

    def gradients(*parts):
        model.zero_grad()
        for part in parts:
            (nll, penalty), _ = model(part.inputs, None, part.targets)
            (nll + penalty).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    whole = gradients(window)
    shared = gradients(*(window.shard(rank, 3) for rank in range(3)))
    for one, other in zip(whole, shared, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_the_logged_loss_holds_no_penalty():
    plain = train(replace(TINY, epochs=1, learning_rate=1e-9), corpus(), progress="silent")
    fined = train(
        replace(TINY, epochs=1, learning_rate=1e-9, ar=100.0, tar=100.0), corpus(), progress="silent"
    )
    assert fined.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=1e-5)


def test_unknown_words_are_counted_and_noted():
    config = replace(TINY, tokens="words", min_count=2, epochs=1)
    fitted = train(config, corpus(SENTENCE * 12 + "rare", SENTENCE + "new word"), progress="silent")
    assert fitted.notes == [
        "1 of the 145 words of the training part are unknown",
        "2 of the 14 words of the validation part are unknown",
    ]
    assert fitted.metrics["validation"]["unknown"] == 2


def test_without_a_validation_part_the_last_weights_stay():
    fitted = train(replace(TINY, epochs=1), corpus(validation=""), progress="silent")
    assert "validation" not in fitted.metrics and fitted.metrics["training"]["best_epoch"] == 0
    assert fitted.notes[-1].startswith("no validation part")


def test_texts_that_cannot_teach_are_refused():
    def refused(text, message, validation=SENTENCE, **options):
        with pytest.raises(DataError, match=message):
            train(replace(TINY, **options), corpus(text, validation), progress="silent")

    refused(
        "abcdefg",
        r"made: the training part has 7 tokens \(characters\); 8 at least are needed, 2 for each of the 4 st",
    )
    refused("a" * 99, r"made: 99 tokens \(characters\), all of them 'a'; two are needed")
    refused("word", r"the training part has 1 tokens \(words\)", tokens="words")
    refused(
        SENTENCE, r"made too: the validation part has 1 tokens \(characters\); 2 at least", validation="x"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"validation": 0.6, "test": 0.4},
            "validation is 0.6 and test is 0.4; together they must be less than 1",
        ),
        ({"cell": "gru", "forget_bias": 2.0}, "forget_bias is 2; only an LSTM has one, and cell is 'gru'"),
        ({"tokens": "bpe", "vocab_size": 100}, "vocab_size is 100; bpe needs 258 at least"),
        ({"tokens": "runes"}, "tokens is 'runes'; it must be one of characters, bytes, bpe, words"),
        ({"output_dropout": 1.0}, r"output_dropout is 1; it must be in \[0, 1\)"),
        ({"optimizer": "lion"}, "optimizer is 'lion'; it must be one of adamw, adam, sgd"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        GenerateConfig(**options)


def test_broken_runs_are_named(run, tmp_path):
    def broken(change, message):
        folder = tmp_path / "broken"
        shutil.copytree(run, folder)
        change(folder)
        with pytest.raises(RunError, match=message):
            load_fitted(folder)
        shutil.rmtree(folder)

    def write(name, text):
        return lambda folder: (folder / name).write_text(text, encoding="utf-8")

    def weights(change):
        def changed(folder):
            path = folder / "model.safetensors"
            save_file(change({k: v.clone() for k, v in load_file(path).items()}), path)

        return changed

    broken(lambda folder: (folder / "vocabulary.json").unlink(), "vocabulary.json: there is no such file")
    broken(
        write("vocabulary.json", '{"kind": "characters", "tokens": ["a", "b"]}'), r"'embedding' is float32 \["
    )
    broken(weights(lambda w: {k: v for k, v in w.items() if k != "output_bias"}), "'output_bias' is missing")
    broken(
        weights(lambda w: w | {"output_bias": w["output_bias"] * math.nan}),
        "'output_bias' holds numbers that are not",
    )
    broken(
        write("config.toml", 'format = 1\ntask = "classify"\n'),
        "the task is 'classify'; 'generate' is needed",
    )
    broken(write("config.toml", 'format = 1\ntask = "generate"\nhidden = 3\n'), "unknown option 'hidden'")
    broken(lambda folder: (folder / "metrics.json").unlink(), "metrics.json is missing")


def test_texts_that_cannot_be_read(run, tmp_path):
    fitted = load_fitted(run)
    (tmp_path / "one.txt").write_text("a")
    with pytest.raises(DataError, match=r"one.txt: has 1 tokens \(characters\); 2 at least are needed"):
        fitted.evaluate(read_part(tmp_path / "one.txt"))
