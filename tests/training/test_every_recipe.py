"""What holds for a run of each recipe: a killed training goes on, and the folder says what it was made from."""

import json
import shutil
from importlib import import_module

import pytest
from golden_recipes import RECIPES

from gatewise.errors import RunError
from gatewise.training.config import in_order
from gatewise.training.progress import Silent

TEXTS = {name: "vocabulary.json" if name == "generate" else "tokenizer.json" for name in RECIPES}


class Killed(BaseException):
    """As a kill would, nobody handles it."""


class KilledAt(Silent):
    def __init__(self, step):
        self.last = step

    def step(self, tick):
        if tick.step == self.last:
            raise Killed


@pytest.fixture(scope="module", params=RECIPES)
def made(request, tmp_path_factory):
    """A task, and its run. Not to be changed: copy it first."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    RECIPES[request.param](out, command="gatewise train <it>")
    return request.param, out


def load(task, folder):
    return import_module(f"gatewise.tasks.{task}.fitted").load_fitted(folder, device="cpu")


def without_times(path):
    return [json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()]


def test_a_killed_training_goes_on_bit_for_bit(made, tmp_path):
    """Killed in the third of five epochs of four steps, two steps after a checkpoint within that epoch."""
    task, whole = made
    with pytest.raises(Killed):
        RECIPES[task](tmp_path / "run", save_every=9, progress=KilledAt(11))
    (newest,) = (tmp_path / "run.training" / "checkpoints").iterdir()
    assert newest.name == "step-00000009"
    RECIPES[task](tmp_path / "run", save_every=9, resume=True)
    for name in ("model.safetensors", "steps.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_times(tmp_path / "run" / "metrics.jsonl") == without_times(whole / "metrics.jsonl")


def test_the_metrics_say_what_the_run_was_made_from(made):
    task, folder = made
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["format"], metrics["task"], metrics["command"]) == (1, task, "gatewise train <it>")
    assert {"data", "split", "versions", "notes", "validation"} <= metrics.keys()
    assert (
        metrics["training"].items() >= {"steps": 20, "epochs": 5, "stopped": "finished", "threads": 1}.items()
    )
    assert set(metrics["versions"]) == {"gatewise", "torch", "numpy", "python"}
    weights = load(task, folder).network.parameters()
    assert metrics["training"]["parameters"] == sum(p.numel() for p in weights)


def test_the_card_has_every_section_and_every_option(made):
    task, folder = made
    card = (folder / "README.md").read_text()
    for title in ("Data", "Figures", "Limits", "How it was trained"):
        assert f"\n## {title}\n" in card
    assert "gatewise train <it>" in card and "20 steps, 5 epochs" in card and "SHA-256 of" in card
    assert "they flatter" in card and "It has not been measured on a test set." in card
    rows = card[card.index("| option | value |") :].splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [
        item.name for item in in_order(load(task, folder).config)
    ]


def test_a_loaded_run_is_written_again_as_it_was(made, tmp_path):
    task, folder = made
    load(task, folder).save(tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.safetensors", b"x" * 40, "model.safetensors"),
        ("metrics.json", b"[]", "metrics.json: holds a list; a JSON object is needed"),
        ("config.toml", b'format = 1\ntask = "tasks"\n', "config.toml: the task is 'tasks'; '{task}' is needed"),
        ("config.toml", b'format = 1\ntask = "{task}"\nepochs = 0\n', r"config.toml: epochs is 0; it must be in \[1, "),
        ("{texts}", b"{}", "{texts}"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_refused_by_the_name_of_the_file(made, tmp_path, name, content, sentence):
    task, folder = made
    named = {"task": task, "texts": TEXTS[task]}
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / name.format(**named)).write_bytes(
        content.decode().format(**named).encode() if b"task}" in content else content
    )
    with pytest.raises(RunError, match=sentence.format(**named)):
        load(task, tmp_path / "run")
