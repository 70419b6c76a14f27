"""Run folders that somebody broke: each fault is a RunError that names the file."""

import json
import shutil

import pytest
import torch
from classify_cases import SMALL, as_texts, reviews
from safetensors.torch import load_file, save_file

from gatewise.errors import RunError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.recipe import train_texts


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("good") / "run"
    config = ClassifyConfig(**SMALL | {"epochs": 1}, bigrams=5)
    train_texts(as_texts(*reviews(40)), config, out=folder, progress=None)
    return folder


def edit_json(name, **changes):
    def attack(folder):
        values = json.loads((folder / name).read_text())
        values.update(changes)
        (folder / name).write_text(json.dumps(values))

    return attack


def replace_text(name, old, new):
    def attack(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return attack


def edit_weights(change):
    def attack(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return attack


def spoil(tensors):
    tensors["output.bias"][0] = torch.inf


ATTACKS = {
    "config newer": (replace_text("config.toml", "format = 1", "format = 9"), "config.toml", "newer version"),
    "config task": (replace_text("config.toml", '"classify"', '"speak"'), "config.toml", "the task is 'speak'"),
    "config option": (replace_text("config.toml", "clip", "clap"), "config.toml", "unknown option 'clap'"),
    "config range": (
        replace_text("config.toml", "hidden_size = 12", "hidden_size = 99999999"),
        "config.toml",
        "must be in",
    ),
    "config size": (
        replace_text("config.toml", "hidden_size = 12", "hidden_size = 13"),
        "model.safetensors",
        "the configuration needs",
    ),
    "labels one": (edit_json("labels.json", labels=["pos"]), "labels.json", "two or more different names"),
    "labels twice": (edit_json("labels.json", labels=["a", "a"]), "labels.json", "two or more different names"),
    "labels kind": (edit_json("labels.json", labels={"a": 1}), "labels.json", "two or more different names"),
    "labels three": (edit_json("labels.json", labels=["a", "b", "c"]), "model.safetensors", "the configuration needs"),
    "inputs kind": (edit_json("labels.json", inputs="sounds"), "labels.json", "inputs must be texts, or series"),
    "series without scaling": (edit_json("labels.json", inputs="series"), "labels.json", "inputs must be"),
    "series scaling": (
        edit_json("labels.json", inputs="series", features=["a"], scaling={"mean": [0, 0], "std": [1, 1]}),
        "labels.json",
        "1 features, and a scaling of 2",
    ),
    "log": (lambda folder: (folder / "metrics.jsonl").write_text("[]"), "metrics.jsonl", "no JSON object"),
    "log broken": (lambda folder: (folder / "metrics.jsonl").write_text("{"), "metrics.jsonl", "not JSON lines"),
    "temperature": (edit_json("metrics.json", temperature=0.0), "metrics.json", "must be a positive number"),
    "temperature text": (edit_json("metrics.json", temperature="hot"), "metrics.json", "must be a positive number"),
    "tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json", "not a tokenizer"),
    "weights infinite": (edit_weights(spoil), "model.safetensors", "not finite"),
    "weights renamed": (
        edit_weights(lambda t: t.update(extra=t.pop("output.bias"))),
        "model.safetensors",
        "'extra' is not part of this model",
    ),
    "pairs missing": (
        edit_weights(lambda t: t.pop("embedding.pairs")),
        "model.safetensors",
        "'embedding.pairs' is missing",
    ),
    "weights pickled": (
        lambda folder: torch.save({}, folder / "model.safetensors"),
        "model.safetensors",
        "not a readable safetensors file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_broken_run_is_refused_with_the_file_and_the_fault(good, tmp_path, name):
    attack, file, fault = ATTACKS[name]
    folder = tmp_path / "run"
    shutil.copytree(good, folder)
    attack(folder)
    with pytest.raises(RunError) as error:
        load_fitted(folder)
    assert file in str(error.value)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "config.toml", "model.safetensors", "tokenizer.json", "labels.json", "metrics.json"],
)
def test_a_missing_file_is_named(good, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(good, folder)
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        load_fitted(folder)
