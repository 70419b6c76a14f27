"""The model card says where a model comes from and what its figures do not say, and nothing in it is markup."""

from dataclasses import replace

import numpy as np
import pytest
from classify_cases import SMALL, as_texts, lstm_in_numpy, reviews

from gatewise.tasks.classify.card import model_card
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.recipe import divide, train_texts
from gatewise.training.card import code, escape


@pytest.fixture(scope="module")
def fitted():
    config = ClassifyConfig(**SMALL | {"epochs": 2})
    return train_texts(
        as_texts(*reviews(80)), config, progress=None, command="gatewise train classify x --out y"
    )


def card(fitted, **changes):
    return model_card(fitted.config, fitted.labels, fitted.metrics | changes)


def test_it_names_data_split_figures_command_and_versions(fitted):
    text = card(fitted)
    validation = fitted.metrics["validation"]
    for part in (
        "`reviews.csv`",
        f"`{'0' * 64}`",
        "72 training, 8 validation (0.1 held out by label, seed 0)",
        "`neg` 36, `pos` 36",
        f"accuracy {validation['accuracy']:.4f}",
        f"calibration error {validation['calibration_error']:.4f}",
        "gatewise train classify x --out y",
        "torch 2.",
        "| hidden_size | `12` |",
    ):
        assert part in text
    for label, row in validation["classes"].items():
        assert (
            f"| `{label}` | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['support']} |"
            in text
        )


def test_it_sets_simpler_models_beside_the_figures(fitted):
    found = fitted.metrics["baselines"]
    sentence = "Accuracy of simpler models on the same part: majority label {:.4f}; bag of words {:.4f}."
    assert sentence.format(found["majority label"], found["bag of words"]) in card(fitted)
    long = card(fitted, baselines={"majority label": 0.5, "bag of words": None})
    assert "majority label 0.5000; the bag of words was left out, for the training text is long" in long
    assert "simpler models" not in card(fitted, baselines={})


def test_limits_say_that_validation_flatters_and_what_is_unmeasured(fitted):
    assert "they flatter" in card(fitted)
    assert "has not been measured on a test set" in card(fitted)
    tested = card(fitted, test=fitted.metrics["validation"])
    assert "has not been measured" not in tested
    assert "Test, 8 examples" in tested
    bare = {name: value for name, value in fitted.metrics.items() if name != "validation"}
    assert "nothing has been evaluated" in model_card(fitted.config, fitted.labels, bare)


def test_foreign_texts_are_no_markup(fitted):
    labels = ["<b>", "a|b`c"]
    text = model_card(replace(fitted.config, data="<script>|x"), labels, {"notes": ["<script> *x* [y](z)"]})
    assert "&lt;script&gt; \\*x\\* \\[y\\](z)" in text
    assert "`a\\|bˋc`" in text
    assert "`<script>\\|x`" in text
    assert code("two\nlines") == "`two lines`"
    assert escape("a\nb") == "a b"


def test_memory_before_training_and_after(fitted):
    lives = fitted.metrics["half_lives"]
    medians = [float(np.median(lives[when]["layer 0"])) for when in ("before", "after")]
    row = next(line for line in card(fitted).splitlines() if line.startswith("| layer 0 |"))
    _, _, halves, constants, gates, _ = (cell.strip() for cell in row.split("|"))
    assert halves == " → ".join(f"{life:.1f}" for life in medians)
    assert constants == " → ".join(f"{life / np.log(2):.1f}" for life in medians)
    shares = fitted.metrics["saturation"]
    for gate in "ifo":
        before, after = (shares[when]["layer 0"][gate] for when in ("before", "after"))
        assert f"{gate} {before[0]:.0%} → {after[0]:.0%}, {before[1]:.0%} → {after[1]:.0%}" in gates
    never = lives | {"after": {"layer 0": [None] * 12}}
    assert "→ inf |" in card(fitted, half_lives=never)
    assert "## Memory" not in card(fitted, half_lives={})  # a plain RNN, or an earlier version


def test_the_noted_memory_is_that_of_the_saved_network(fitted):
    """Of 8 validation texts; the gates from the oracle of the recipe's tests."""
    _, held_out = divide(as_texts(*reviews(80)), None, fitted.config)
    steps = [step for text in held_out.texts for step in lstm_in_numpy(fitted, text)]
    forget = np.array([step["f"] for step in steps])
    noted = fitted.metrics["half_lives"]["after"]["layer 0"]
    np.testing.assert_allclose(noted, np.log(0.5) / np.log(forget).mean(0), rtol=1e-4)
    shut, opened = fitted.metrics["saturation"]["after"]["layer 0"]["f"]
    assert shut == pytest.approx((forget < 0.1).mean(), abs=1e-4)
    assert opened == pytest.approx((forget > 0.9).mean(), abs=1e-4)
