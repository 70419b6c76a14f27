"""The options that recipes share: every default written out, their order, and what follows from their kinds."""

import tomllib
from dataclasses import asdict, fields

import pytest
import tomli_w

from gatewise.errors import UsageError
from gatewise.layers.building import KINDS
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.training.config import GROUPS, dump_config, in_order, load_config, rule
from gatewise.training.options import LoopOptions
from gatewise.training.recipe_config import CELLS, ExamplesConfig, loop_options, what_lasts, with_full_paths

TRAINING = {
    "accumulate": 1, "optimizer": "adamw", "decay": 0.8, "average_from": 0.75, "patience_of_average": 5, "clip": 1.0,
    "patience": 0, "validate_every": 0, "save_every": 0, "keep_checkpoints": 0, "seed": 0, "precision": "float32",
    "device": "auto", "threads": 0, "minutes": 0.0,
}  # fmt: skip
CLASSIFY = TRAINING | {
    "data": "", "validation_data": "", "text": "", "label": "", "id": "", "time": "", "features": (),
    "tokenizer": "words", "vocab_size": 30_000, "bigrams": 0, "max_length": 400, "truncate": "middle", "vectors": "",
    "language_model": "", "cell": "lstm", "embedding_size": 128, "hidden_size": 128, "num_layers": 1,
    "bidirectional": False, "pooling": "attention", "forget_bias": 1.0, "chrono": 0, "word_dropout": 0.1,
    "bigram_dropout": 0.0, "embedding_dropout": 0.3, "layer_dropout": 0.0, "dropout": 0.5, "epochs": 6,
    "batch_size": 64, "learning_rate": 0.002, "schedule": "linear", "warmup": 200, "decay_from": 0,
    "weight_decay": 0.0, "average": "ema", "ema": 0.995, "class_weights": "none", "validation": 0.1, "workers": 0,
}  # fmt: skip
GENERATE = TRAINING | {
    "data": (), "validation_data": "", "test_data": "", "text": "", "validation": 0.1, "test": 0.0,
    "tokens": "characters", "vocab_size": 10_000, "min_count": 1, "cell": "lstm", "embedding_size": 128,
    "hidden_size": 512, "num_layers": 2, "tie": False, "forget_bias": 1.0, "input_dropout": 0.0,
    "hidden_dropout": 0.0, "output_dropout": 0.0, "locked": False, "embedding_dropout": 0.0, "weight_drop": 0.0,
    "ar": 0.0, "tar": 0.0, "epochs": 10, "streams": 64, "steps": 128, "random_steps": False, "learning_rate": 0.002,
    "schedule": "cosine", "warmup": 200, "decay_from": 6, "weight_decay": 0.0, "average": "none", "ema": 0.999,
}  # fmt: skip
TRANSLATE = TRAINING | {
    "data": "", "target_data": "", "validation_data": "", "validation_target_data": "", "source": "", "target": "",
    "tokenizer": "bpe", "vocab_size": 8000, "shared": True, "max_length": 100, "cell": "lstm", "embedding_size": 256,
    "hidden_size": 384, "encoder_layers": 1, "decoder_layers": 1, "bidirectional": True, "attention": "luong",
    "tied": True, "forget_bias": 1.0, "dropout": 0.3, "word_dropout": 0.0, "epochs": 20, "batch_size": 64,
    "learning_rate": 0.002, "schedule": "linear", "warmup": 400, "decay_from": 0, "weight_decay": 0.0,
    "label_smoothing": 0.1, "own_tokens": 0.0, "average": "ema", "ema": 0.998, "validation": 0.05, "workers": 0,
    "beams": 5, "length_penalty": 1.0, "coverage_penalty": 0.0,
}  # fmt: skip
CAPTION = TRAINING | {
    "pictures": "", "captions": "", "validation_pictures": "", "validation_captions": "", "image": "", "caption": "",
    "video": False, "picture_size": 96, "channels": 128, "augment": 0.1, "flip": False, "features": "",
    "feature_size": 0, "cache": "", "blind": False, "frames": 16, "tokenizer": "words", "vocab_size": 10_000,
    "max_length": 40, "cell": "lstm", "embedding_size": 128, "hidden_size": 256, "decoder_layers": 1,
    "bidirectional": False, "attention": "luong", "tied": True, "forget_bias": 1.0, "dropout": 0.5, "epochs": 30,
    "batch_size": 16, "learning_rate": 0.001, "schedule": "linear", "warmup": 100, "decay_from": 0,
    "weight_decay": 0.01, "label_smoothing": 0.0, "doubly_stochastic": 0.0, "average": "ema", "ema": 0.99,
    "validation": 0.1, "workers": 0, "beams": 3, "length_penalty": 1.0, "coverage_penalty": 0.0,
}  # fmt: skip
RECIPES = {
    "classify": (ClassifyConfig, CLASSIFY),
    "generate": (GenerateConfig, GENERATE),
    "translate": (TranslateConfig, TRANSLATE),
    "caption": (CaptionConfig, CAPTION),
}
PLACES = {
    "classify": {"data", "validation_data", "vectors", "language_model"},
    "generate": {"data", "validation_data", "test_data"},
    "translate": {"data", "target_data", "validation_data", "validation_target_data"},
    "caption": {"pictures", "captions", "validation_pictures", "validation_captions", "cache"},
}
LATER = {"optimizer", "decay", "decay_from", "patience_of_average", "precision", "language_model"}
"""Options that runs of earlier versions do not name."""


@pytest.mark.parametrize("task", RECIPES)
def test_the_defaults_of_a_recipe(task):
    config, defaults = RECIPES[task]
    assert asdict(config()) == defaults


@pytest.mark.parametrize("task", RECIPES)
def test_a_config_of_an_earlier_version_is_read(task, tmp_path):
    """In another order, and without the options that came later."""
    config, defaults = RECIPES[task]
    kept = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in reversed(defaults.items())
        if name not in LATER
    }
    kept["hidden_size"], kept["seed"] = 48, 7
    (tmp_path / "c.toml").write_text(tomli_w.dumps({"format": 1, "task": task} | kept))
    assert load_config(config, tmp_path / "c.toml", task=task) == config(hidden_size=48, seed=7)


@pytest.mark.parametrize("task", RECIPES)
def test_options_are_shown_and_written_group_by_group(task):
    config, defaults = RECIPES[task]
    names = [item.name for item in in_order(config)]
    groups = [rule(item).group for item in in_order(config)]
    assert list(dict.fromkeys(groups)) == [group for group in GROUPS if group in groups]
    assert groups == sorted(groups, key=GROUPS.index)
    assert sorted(names) == sorted(defaults)
    assert list(tomllib.loads(dump_config(config(), None, task=task))) == ["format", "task", *names]


@pytest.mark.parametrize("task", RECIPES)
def test_every_option_of_the_loop_comes_from_the_recipe(task):
    config, defaults = RECIPES[task]
    own = {item.name for item in fields(LoopOptions)} & defaults.keys()
    changed = {"epochs": 3, "learning_rate": 0.5, "schedule": "decay", "decay_from": 2, "optimizer": "sgd"}
    options = loop_options(config(**changed), "loss")
    assert {name: getattr(options, name) for name in own} == {
        name: (defaults | changed)[name] for name in own
    }
    left = {item.name for item in fields(LoopOptions)} - own
    assert left == {"betas", "metric"} | ({"workers"} if task == "generate" else set())
    assert (options.betas, options.metric) == ((0.9, 0.98), "loss")


@pytest.mark.parametrize("task", RECIPES)
def test_places_become_absolute_and_nothing_else_does(task, monkeypatch, tmp_path):
    config, defaults = RECIPES[task]
    monkeypatch.chdir(tmp_path)
    given = {name: ("a", "b/c") if defaults[name] == () else "a" for name in PLACES[task]}
    given |= {"language_model": ""} if task == "classify" else {}  # beside vectors it is refused
    found, wanted = asdict(with_full_paths(config(**given), seed=3)), defaults | {"seed": 3}
    for name, value in given.items():
        full = (
            tuple(str(tmp_path / one) for one in value) if isinstance(value, tuple) else str(tmp_path / value)
        )
        wanted[name] = full if value else ""
    assert found == wanted
    assert asdict(with_full_paths(config())) == defaults


@pytest.mark.parametrize("task", RECIPES)
def test_what_a_resumed_training_may_change(task):
    config, defaults = RECIPES[task]
    lasting = what_lasts(config(), {"training data": "ab"})
    assert lasting.pop("the SHA-256 of the training data") == "ab"
    free = {"minutes", "save_every", "keep_checkpoints", "workers", "threads"} | PLACES[task]
    free |= {"beams", "length_penalty", "coverage_penalty"}
    assert lasting == {name: value for name, value in defaults.items() if name not in free}


def test_the_cells_are_those_that_layers_are_built_of():
    assert set(CELLS) == set(KINDS)
    assert ExamplesConfig(cell="gru+lstm").cells == ("gru", "lstm")


@pytest.mark.parametrize("config", [ClassifyConfig, TranslateConfig, CaptionConfig])
def test_cells_and_stacks_that_are_refused(config):
    for cell in ("lstn", "lstm+", "+", ""):
        with pytest.raises(
            UsageError, match=r"cell is '.*'; it must be rnn, gru, lstm, or these joined by \+"
        ):
            config(cell=cell)
    with pytest.raises(UsageError, match="cell names 17 layers; it must be 16 at most"):
        config(cell="+".join(["gru"] * 17))
    names = [name for name in asdict(config()) if name.endswith("_layers")]
    assert names
    for name in names:
        with pytest.raises(UsageError, match=rf"{name} is 2; the stack 'gru\+rnn' already names its layers"):
            config(**{"cell": "gru+rnn", name: 2})
        assert config(**{name: 2}).cells == ("lstm",)
